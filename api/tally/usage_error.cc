#include "api/tally/usage_error.h"

#include <algorithm>
#include <numeric>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"

namespace tallystick {
namespace {

// How many letters to change, add or leave out (Levenshtein).
size_t EditDistance(absl::string_view a, absl::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), size_t{0});
  for (size_t i = 0; i < a.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i + 1;
    for (size_t j = 0; j < b.size(); ++j) {
      const size_t changed = diagonal + (a[i] == b[j] ? 0 : 1);
      diagonal = row[j + 1];
      row[j + 1] = std::min({changed, row[j] + 1, row[j + 1] + 1});
    }
  }
  return row.back();
}

// "; did you mean X?", or nothing when none is near.
std::string Suggestion(absl::string_view word, const std::vector<std::string>& names) {
  constexpr size_t kNear = 2;
  size_t least = std::min(kNear, word.size() / 3) + 1;
  const std::string* nearest = nullptr;
  for (const std::string& name : names) {
    const size_t distance = EditDistance(word, name);
    if (distance >= least) continue;
    least = distance;
    nearest = &name;
  }
  return nearest == nullptr ? "" : absl::StrCat("; did you mean ", *nearest, "?");
}

std::vector<const CLI::App*> Parts(const CLI::App& app, bool groups) {
  return app.get_subcommands(
      [groups](const CLI::App* part) { return part->get_name().empty() == groups; });
}

std::vector<std::string> CommandNames(const CLI::App& app) {
  std::vector<std::string> names;
  for (const CLI::App* command : Parts(app, /*groups=*/false)) names.push_back(command->get_name());
  return names;
}

// Of the command and of those that it is a part of, which take options behind it too.
std::vector<std::string> OptionNames(const CLI::App* app) {
  std::vector<std::string> names;
  for (; app != nullptr; app = app->get_parent()) {
    std::vector<const CLI::App*> with_groups = Parts(*app, /*groups=*/true);
    with_groups.push_back(app);
    for (const CLI::App* part : with_groups) {
      for (const CLI::Option* option : part->get_options()) {
        for (const std::string& name : option->get_lnames()) names.push_back("--" + name);
      }
    }
  }
  return names;
}

bool IsOption(absl::string_view word) {
  return word.size() > 1 && word[0] == '-' && word != "--" &&
         !absl::ascii_isdigit(static_cast<unsigned char>(word[1]));
}

// CLI11's words for a value that is not of the option's type.
std::string Reworded(const std::string& what) {
  absl::string_view text = what;
  if (!absl::ConsumePrefix(&text, "Could not convert: ")) return what;
  const size_t name_size = text.find(" = ");
  if (name_size == absl::string_view::npos) return what;
  return absl::StrCat("\"", text.substr(name_size + 3), "\" is no value for ",
                      text.substr(0, name_size));
}

}  // namespace

std::string ExplainUsage(const CLI::App& app, const CLI::ParseError& error) {
  const CLI::App* chosen = &app;
  std::string path = app.get_name();
  while (!chosen->get_subcommands().empty()) {
    chosen = chosen->get_subcommands().front();
    absl::StrAppend(&path, " ", chosen->get_name());
  }
  const std::vector<std::string> rest = app.remaining(/*recurse=*/true);
  const auto option = std::find_if(rest.begin(), rest.end(), IsOption);
  const std::vector<std::string> commands = CommandNames(*chosen);
  std::string sentence;
  if (option != rest.end()) {
    const std::string name = option->substr(0, option->find('='));
    sentence =
        absl::StrCat("there is no option \"", name, "\"", Suggestion(name, OptionNames(chosen)));
  } else if (!commands.empty() && !rest.empty()) {
    sentence =
        absl::StrCat("there is no command \"", rest.front(), "\"", Suggestion(rest[0], commands));
  } else if (!commands.empty()) {
    sentence = absl::StrCat("which command? One of ", absl::StrJoin(commands, ", "));
  } else if (!rest.empty()) {
    sentence = absl::StrCat("\"", rest.front(), "\" was not expected");
  } else {
    sentence = Reworded(error.what());
  }
  return absl::StrCat(sentence, absl::EndsWith(sentence, "?") ? " See " : ": see ", path,
                      " --help");
}

}  // namespace tallystick
