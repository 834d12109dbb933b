#include "api/program_file.h"

#include <cerrno>
#include <cstring>
#include <fstream>
#include <limits>
#include <nlohmann/json.hpp>
#include <utility>

#include "absl/algorithm/container.h"
#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "api/program_schema.h"
#include "flatbuffers/idl.h"
#include "ledger/program.h"

namespace tallystick {
namespace {

// A program file is read whole; the largest program is a few times smaller.
constexpr size_t kMaxFileBytes = size_t{1} << 20;

// Fields that only a writer fills in.
constexpr absl::string_view kResolvedFields[] = {"version", "effective_us", "initial_offset_s",
                                                 "transitions"};

struct Problem {
  int line = 0;
  std::string field;
  std::string message;  // empty: there is none
};

Problem CheckInteger(const JsonValue& value, const std::string& field, flatbuffers::BaseType type) {
  if (value.type != JsonValue::Type::kNumber) return {value.line, field, "must be a whole number"};
  int64_t number = 0;
  const bool parsed = absl::SimpleAtoi(value.text, &number);
  if (!parsed && value.text.find_first_of(".eE") != std::string::npos) {
    return {value.line, field, absl::StrCat("is ", value.text, ", but must be a whole number")};
  }
  const bool is_int = type == flatbuffers::BASE_TYPE_INT;
  if (!parsed || (is_int && (number > std::numeric_limits<int32_t>::max() ||
                             number < std::numeric_limits<int32_t>::min()))) {
    return {value.line, field, absl::StrCat("is ", value.text, ", which is too large")};
  }
  return {};
}

Problem CheckEnum(const JsonValue& value, const std::string& field,
                  const flatbuffers::EnumDef& definition) {
  std::vector<std::string> names;
  for (const flatbuffers::EnumVal* allowed : definition.Vals()) {
    if (value.type == JsonValue::Type::kString && value.text == allowed->name) return {};
    names.push_back(absl::StrCat("\"", allowed->name, "\""));
  }
  return {value.line, field, absl::StrCat("must be one of ", absl::StrJoin(names, ", "))};
}

Problem CheckObject(const JsonValue& object, const std::string& path,
                    const flatbuffers::StructDef& definition);

Problem CheckValue(const JsonValue& value, const std::string& field,
                   const flatbuffers::Type& type) {
  if (type.enum_def != nullptr) return CheckEnum(value, field, *type.enum_def);
  switch (type.base_type) {
    case flatbuffers::BASE_TYPE_STRUCT:
      return CheckObject(value, field, *type.struct_def);
    case flatbuffers::BASE_TYPE_STRING:
      if (value.type == JsonValue::Type::kString) return {};
      return {value.line, field, "must be a text in quotes"};
    case flatbuffers::BASE_TYPE_BOOL:
      if (value.type == JsonValue::Type::kBool) return {};
      return {value.line, field, "must be true or false"};
    default:
      return CheckInteger(value, field, type.base_type);
  }
}

// What the schema says of a value, and what a caller can understand of it.
Problem CheckObject(const JsonValue& object, const std::string& path,
                    const flatbuffers::StructDef& definition) {
  if (object.type != JsonValue::Type::kObject) {
    return {object.line, path, "must be an object in braces"};
  }
  for (const JsonValue& member : object.children) {
    const std::string field = path.empty() ? member.name : absl::StrCat(path, ".", member.name);
    const flatbuffers::FieldDef* known = definition.fields.Lookup(member.name);
    if (known == nullptr) {
      return {member.line, field, "is no field of a program: check its spelling"};
    }
    if (path.empty() && absl::c_linear_search(kResolvedFields, member.name)) {
      return {member.line, field, "is filled in by the ledger: leave it out"};
    }
    Problem problem = CheckValue(member, field, known->value.type);
    if (!problem.message.empty()) return problem;
  }
  return {};
}

}  // namespace

absl::StatusOr<ProgramFile> ProgramFile::Read(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  std::string text(kMaxFileBytes + 1, '\0');
  if (!in)
    return absl::NotFoundError(absl::StrCat("cannot open ", path, ": ", std::strerror(errno)));
  in.read(text.data(), static_cast<std::streamsize>(text.size()));
  if (in.bad()) return absl::UnavailableError(absl::StrCat("cannot read ", path));
  text.resize(static_cast<size_t>(in.gcount()));
  if (text.size() > kMaxFileBytes) {
    return absl::InvalidArgumentError(absl::StrCat(path, " is too large for a program file"));
  }
  return Parse(text, path);
}

absl::StatusOr<ProgramFile> ProgramFile::Parse(absl::string_view json, const std::string& name) {
  auto values = ReadJsonLines(json);
  if (!values.ok()) {
    return absl::InvalidArgumentError(absl::StrCat(name, ":", values.status().message()));
  }
  flatbuffers::IDLOptions options;
  options.strict_json = true;
  flatbuffers::Parser parser(options);
  if (!parser.Parse(kProgramSchema)) return absl::InternalError(parser.error_);

  if (values->type != JsonValue::Type::kObject) {
    return absl::InvalidArgumentError(
        absl::StrCat(name, ":", values->line, ": a program in braces was expected"));
  }
  const Problem problem = CheckObject(*values, "", *parser.root_struct_def_);
  if (!problem.message.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat(name, ":", problem.line, ": ", problem.field, " ", problem.message));
  }
  // What is left for the parser to refuse is inside of texts: escapes, and bytes that are not
  // UTF-8.
  if (!parser.ParseJson(std::string(json).c_str(), name.c_str())) {
    return absl::InvalidArgumentError(parser.error_);
  }
  ProgramFile file(name, *std::move(values));
  file.bytes_.assign(parser.builder_.GetBufferPointer(),
                     parser.builder_.GetBufferPointer() + parser.builder_.GetSize());
  if (const auto error = ledger::CheckProgram(file.program()); error.has_value()) {
    return absl::InvalidArgumentError(file.Sentence(error->field, error->message));
  }
  return file;
}

std::string ProgramFile::Sentence(absl::string_view field, absl::string_view message) const {
  const JsonValue* nearest = &json_;
  for (const absl::string_view part : absl::StrSplit(field, '.')) {
    const JsonValue* child = nearest->Find(part);
    if (child == nullptr) break;
    nearest = child;
  }
  return absl::StrCat(name_, ":", nearest->line, ": ", field, field.empty() ? "" : " ", message);
}

std::string ProgramToJson(const Program& program) {
  using Json = nlohmann::ordered_json;
  const auto text = [](const flatbuffers::String* s) { return s == nullptr ? "" : s->str(); };
  Json json = {{"id", program.id()},
               {"name", text(program.name())},
               {"decimals", program.decimals()},
               {"currency", text(program.currency())},
               {"time_zone", text(program.time_zone())}};
  if (const Earn* earn = program.earn(); earn != nullptr) {
    json["earn"] = {{"points", earn->points()},
                    {"per_spend", earn->per_spend()},
                    {"rounding", EnumNameRounding(earn->rounding())},
                    {"minimum_spend", earn->minimum_spend()}};
  }
  if (const Pending* pending = program.pending(); pending != nullptr) {
    json["pending"] = {{"days", pending->days()}};
  }
  if (const Expiry* expiry = program.expiry(); expiry != nullptr) {
    json["expiry"] = {{"after", EnumNameExpiryBase(expiry->after())}};
    if (expiry->days() != 0) json["expiry"]["days"] = expiry->days();
    if (expiry->months() != 0) json["expiry"]["months"] = expiry->months();
    json["expiry"]["round_up_to"] = EnumNamePeriod(expiry->round_up_to());
  }
  const Redeem* redeem = program.redeem();  // absent: as one that says nothing
  json["redeem"] = {{"minimum", redeem == nullptr ? 1 : redeem->minimum()},
                    {"step", redeem == nullptr ? 1 : redeem->step()}};
  const HoldRules* hold = program.hold();
  json["hold"] = {{"timeout_minutes", hold == nullptr ? 15 : hold->timeout_minutes()}};
  const ReversalRules* reversal = program.reversal();
  json["reversal"] = {
      {"expired", EnumNameExpiredReversal(reversal == nullptr ? ExpiredReversal::restore
                                                              : reversal->expired())},
      {"grace_days", reversal == nullptr ? 30 : reversal->grace_days()}};
  const TransferRules* transfer = program.transfer();
  json["transfer"] = {{"dates", EnumNameTransferDates(transfer == nullptr ? TransferDates::keep
                                                                          : transfer->dates())},
                      {"minimum", transfer == nullptr ? 1 : transfer->minimum()},
                      {"maximum", transfer == nullptr ? 0 : transfer->maximum()}};
  json["debt_floor"] = program.debt_floor();
  json["retention_days"] = program.retention_days();
  json["return_days"] = program.return_days();
  json["implicit_enrolment"] = program.implicit_enrolment();
  json["unknown_original"] = EnumNameUnknownOriginal(program.unknown_original());
  if (program.effective_at() != nullptr) json["effective_at"] = text(program.effective_at());
  return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace tallystick
