# The text tests of the passes: tests/passes/*.qir, one ctest a file.
if(INTACT_BUILD_TESTS)
  file(GLOB pass_texts CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/tests/passes/*.qir")
  add_executable(intact_pass_text_test
    "${PROJECT_SOURCE_DIR}/tests/passes/pass_text_test.cc"
    "${PROJECT_SOURCE_DIR}/tests/passes/tiny_evaluator.cc")
  target_include_directories(intact_pass_text_test PRIVATE "${PROJECT_SOURCE_DIR}/tests/passes")
  target_link_libraries(intact_pass_text_test PRIVATE intact_passes)
  foreach(text IN LISTS pass_texts)
    get_filename_component(stem "${text}" NAME_WE)
    add_test(NAME "passes.text.${stem}" COMMAND intact_pass_text_test "${text}")
    set_tests_properties("passes.text.${stem}" PROPERTIES LABELS pass)
  endforeach()
endif()

# What the pipelines do to whole ONNX files; tests/passes/zoo_equivalence.py runs it.
if(INTACT_BUILD_TESTS AND TARGET intact_onnx)
  add_executable(intact_pass_tool
    "${PROJECT_SOURCE_DIR}/tests/passes/pass_tool.cc"
    "${PROJECT_SOURCE_DIR}/tests/passes/tiny_evaluator.cc")
  target_include_directories(intact_pass_tool PRIVATE "${PROJECT_SOURCE_DIR}/tests/passes")
  target_link_libraries(intact_pass_tool PRIVATE intact_passes intact_onnx)
endif()
