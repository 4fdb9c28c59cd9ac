// main.cc: intact VERB. One table of verbs; each verb's options are in the file of its name.

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstdio>

#include "base/check.h"
#include "command.h"
#include "intact/version.h"
#include "usage.h"

namespace intact::cli {
namespace {

constexpr std::array kVerbs{
    Verb{"quantize", "turn a float model into an INT8 one and prove that nothing broke",
         "intact quantize model.onnx --data samples/", declare_quantize},
    Verb{"calibrate", "measure ranges once, as a text file that can be edited and merged",
         "intact calibrate model.onnx --data samples.npz -o model.cal", declare_calibrate},
    Verb{"merge", "join calibration files of parts of the data",
         "intact merge a.cal b.cal -o all.cal", declare_merge},
    Verb{"run", "run a model over samples and keep its outputs",
         "intact run model.int8.onnx --data samples.npz -o outputs.npz", declare_run},
    Verb{"bench", "time models in interleaved rounds",
         "intact bench model.onnx model.int8.onnx --threads 1", declare_bench},
    Verb{"eval", "compare models on labelled data, with an interval",
         "intact eval model.onnx model.int8.onnx --data labelled.npz --metric top1", declare_eval},
    Verb{"compare", "where a quantized model loses what: layer by layer, with cause and fix",
         "intact compare model.onnx model.int8.onnx --data samples.npz", declare_compare},
    Verb{"inspect", "what is in a model, what would be quantized, and what it receives",
         "intact inspect model.onnx --data images/ --images 'resize=256 crop=224 scale=1/255' "
         "--contact-sheet sheet.png",
         declare_inspect},
    Verb{"verify",
         "does this machine compute the bytes that were computed where the file was made?",
         "intact verify model.int8.onnx", declare_verify},
    Verb{"host", "what this machine offers, and what decided it", "intact host", declare_host},
};

int run(int argc, char** argv) {
  CLI::App app{"intact quantizes ONNX models and runs them with exact integer kernels.", "intact"};
  app.set_version_flag("--version", std::string(kVersion));
  app.require_subcommand(1);
  app.option_defaults()->always_capture_default();
  app.footer(
      "Exit codes: 0 done, 2 bad input or usage, 3 an accuracy limit was missed, 70 our own bug, "
      "130 interrupted. An output file appears whole or not at all.");
  std::vector<std::pair<CLI::App*, std::function<int()>>> verbs;
  for (const Verb& verb : kVerbs) {
    CLI::App* sub = app.add_subcommand(verb.name, verb.summary);
    sub->footer(fmt::format("Example:\n  {}", verb.example));
    verbs.emplace_back(sub, verb.declare(*sub));
    for (CLI::Option* option : sub->get_options())  // No list is a default worth showing.
      if (option->get_default_str() == "[]") option->default_str("");
  }
  std::vector<std::string> arguments(argv + std::min(argc, 1), argv + argc);
  if (!arguments.empty() && arguments[0] == "help") {  // As for git and its like.
    arguments.erase(arguments.begin());
    arguments.emplace_back("--help");
  }
  try {
    app.parse(std::vector<std::string>(arguments.rbegin(), arguments.rend()));
  } catch (const CLI::Success& e) {
    return app.exit(e);
  } catch (const CLI::ParseError& e) {
    fmt::print(stderr, "intact: {}\n", usage_error(app, e, arguments));
    return kBadInput;
  }
  watch_interrupts();
  for (auto& [sub, action] : verbs)
    if (sub->parsed()) return action();
  return kBadInput;
}

}  // namespace
}  // namespace intact::cli

int main(int argc, char** argv) {
  try {
    return intact::cli::run(argc, argv);
  } catch (const std::bad_alloc&) {
    std::fputs("intact: there is not enough memory for this\n", stderr);
    return intact::cli::kBadInput;
  } catch (const std::exception& e) {
    fmt::print(
        stderr,
        "intact: {}\nThis is a bug in intact; please report it with the command and the model.\n",
        e.what());
    return intact::cli::kInternal;
  }
}
