// tally program put|get: a program's rules, to a ledger and back.

#include <cstdio>
#include <nlohmann/json.hpp>
#include <string>

#include "absl/strings/str_cat.h"
#include "api/ids.h"
#include "api/outcomes.h"
#include "api/program_file.h"
#include "api/tally/command.h"

namespace tallystick::tally {
namespace {

struct PutOptions {
  std::string file;
  std::string id;
  bool json = false;
};

struct GetOptions {
  uint16_t program = 0;
  bool json =
      false;  // which the output always is; understood, so that scripts may say it everywhere
};

// The version that the program is in, if its newest version has the file's rules; 0: it has others,
// or there is none. What the host's time zone data makes of them is left aside.
absl::StatusOr<int> VersionWith(Client& client, const Program& rules) {
  const auto bytes = client.GetProgram(static_cast<uint16_t>(rules.id()));
  if (absl::IsNotFound(bytes.status())) return 0;
  if (!bytes.ok()) return bytes.status();
  const Program& newest = *flatbuffers::GetRoot<Program>(bytes->data());
  return ProgramToJson(newest) == ProgramToJson(rules) ? newest.version() : 0;
}

int SayUnchanged(int program, int version, bool json) {
  if (json) {
    PrintJson({{"program", program},
               {"outcome", std::string(OutcomeName(Outcome::Ok))},
               {"version", version},
               {"unchanged", true}});
  } else {
    std::printf("Program %d has these rules already, in version %d: nothing was put.\n", program,
                version);
  }
  return 0;
}

int Put(const Server& server, const PutOptions& options) {
  const auto file = ProgramFile::Read(options.file);
  if (!file.ok()) return Fail(file.status());
  const auto id = options.id.empty() ? RandomId() : RequireId(options.id, "transaction id");
  if (!id.ok()) return Fail(id.status());
  auto client = server.Connect();
  if (!client.ok()) return Fail(client.status());
  const int program = file->program().id();
  if (options.id.empty()) {
    const auto version = VersionWith(**client, file->program());
    if (!version.ok()) return Fail(version.status());
    if (*version != 0) return SayUnchanged(program, *version, options.json);
  }
  const auto answer = (*client)->PutProgram(*id, file->bytes());
  if (!answer.ok()) {
    Fail(answer.status());
    std::fprintf(stderr,
                 "tally: it is not known whether the program was put: repeat the same command with "
                 "--id %s, which puts it once\n",
                 FormatId(*id).c_str());
    return 1;
  }
  if (options.json) {
    PrintJson({{"program", program},
               {"outcome", std::string(OutcomeName(answer->outcome))},
               {"version", answer->version},
               {"unchanged", false},
               {"id", FormatId(*id)},
               {"field", answer->field},
               {"message", answer->message}});
  }
  if (answer->outcome != Outcome::Ok) {
    if (answer->message.empty()) return Refuse(answer->outcome);
    return Fail(absl::InvalidArgumentError(file->Sentence(answer->field, answer->message)));
  }
  if (!options.json) std::printf("Program %d is in version %d now.\n", program, answer->version);
  return 0;
}

int Get(const Server& server, uint16_t program) {
  auto client = server.Connect();
  if (!client.ok()) return Fail(client.status());
  const auto bytes = (*client)->GetProgram(program);
  if (absl::IsNotFound(bytes.status())) return Refuse(Outcome::UnknownProgram);
  if (!bytes.ok()) return Fail(bytes.status());
  std::fputs(ProgramToJson(*flatbuffers::GetRoot<Program>(bytes->data())).c_str(), stdout);
  return 0;
}

}  // namespace

void AddProgramCommands(CLI::App& app, const Server& server) {
  CLI::App* program = app.add_subcommand("program", "Put and get programs");
  program->require_subcommand(1);

  CLI::App* put = program->add_subcommand("put", "Make a file's rules the program's next version");
  auto options = std::make_shared<PutOptions>();
  put->add_option("file", options->file, "The program as JSON; comments are allowed")->required();
  put->add_option(
         "--id", options->id,
         "Transaction id; default: a random one. With one, rules that are in force already "
         "are put again, with today's time zone data")
      ->check(NotEmpty());
  AddJsonFlag(put, &options->json);
  OnRun(put, [&server, options] { return Put(server, *options); });

  CLI::App* get = program->add_subcommand("get", "Print the newest version as a program file");
  auto get_options = std::make_shared<GetOptions>();
  get->add_option("id", get_options->program, "The program's id")
      ->required()
      ->check(CLI::Range(1, 65'535));
  AddJsonFlag(get, &get_options->json);
  OnRun(get, [&server, get_options] { return Get(server, get_options->program); });
}

}  // namespace tallystick::tally
