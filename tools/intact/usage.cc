#include "usage.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <numeric>
#include <vector>

namespace intact::cli {
namespace {

// How many letters must be added, left out or replaced to make one word of the other.
std::size_t distance(const std::string& a, const std::string& b) {
  std::vector<std::size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 0; i < a.size(); ++i) {
    std::size_t before = std::exchange(row[0], i + 1);
    for (std::size_t j = 0; j < b.size(); ++j) {
      const std::size_t replaced = before + (a[i] == b[j] ? 0 : 1);
      before = row[j + 1];
      row[j + 1] = std::min({replaced, row[j] + 1, row[j + 1] + 1});
    }
  }
  return row.back();
}

// "; did you mean X?" for the nearest of the words, "" when none is near.
std::string meant(const std::string& word, const std::vector<std::string>& words) {
  std::string best;
  std::size_t least = std::max<std::size_t>(1, word.size() / 3) + 1;
  for (const std::string& candidate : words)
    if (const std::size_t d = distance(word, candidate); d < least) {
      least = d;
      best = candidate;
    }
  return best.empty() ? "" : fmt::format("; did you mean {}?", best);
}

std::string verb_error(const CLI::App& app, std::span<const std::string> arguments) {
  std::vector<std::string> verbs;
  for (const CLI::App* verb : app.get_subcommands([](const CLI::App*) { return true; }))
    verbs.push_back(verb->get_name());
  const std::string all =
      fmt::format("the verbs are {}; see intact --help", fmt::join(verbs, ", "));
  if (arguments.empty()) return "a verb is missing; " + all;
  if (arguments[0].starts_with("-"))
    return fmt::format("{} is no option of intact; see intact --help", arguments[0]);
  const std::string hint = meant(arguments[0], verbs);
  return fmt::format("'{}' is no verb{}", arguments[0], hint.empty() ? "; " + all : hint);
}

std::string unexpected(const CLI::App& verb, const std::vector<std::string>& arguments) {
  const auto option = std::find_if(arguments.begin(), arguments.end(),
                                   [](const std::string& a) { return a.starts_with("-"); });
  if (option == arguments.end())
    return fmt::format("'{}' is one argument too many", arguments.front());
  std::vector<std::string> names;
  for (const CLI::Option* o : verb.get_options())
    for (const std::string& name : o->get_lnames()) names.push_back("--" + name);
  const std::string word = option->substr(0, option->find('='));
  return fmt::format("{} has no option {}{}", verb.get_name(), word, meant(word, names));
}

// "X needs a value" where another option stands in its place; "" where none does.
std::string missing_value(const CLI::App& verb, std::span<const std::string> arguments) {
  for (std::size_t i = 1; i < arguments.size(); ++i) {
    const CLI::Option* option = verb.get_option_no_throw(arguments[i - 1]);
    if (option != nullptr && option->get_items_expected_min() > 0 &&
        verb.get_option_no_throw(arguments[i]) != nullptr)
      return fmt::format("{} needs a value", arguments[i - 1]);
  }
  return "";
}

}  // namespace

std::string usage_error(const CLI::App& app, const CLI::ParseError& error,
                        std::span<const std::string> arguments) {
  const auto parsed = app.get_subcommands();
  if (parsed.empty()) return verb_error(app, arguments);
  const CLI::App& verb = *parsed.front();
  const std::vector<std::string> rest = app.remaining(true);
  std::string what = missing_value(verb, arguments);
  if (what.empty())
    what = dynamic_cast<const CLI::ExtrasError*>(&error) != nullptr && !rest.empty()
               ? unexpected(verb, rest)
               : error.what();
  return what.ends_with("?") ? what
                             : fmt::format("{}; see intact {} --help", what, verb.get_name());
}

}  // namespace intact::cli
