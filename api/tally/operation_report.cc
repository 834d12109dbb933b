#include "api/tally/operation_report.h"

#include <cstdio>
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "api/ids.h"
#include "api/instants.h"
#include "api/outcomes.h"
#include "api/tally/command.h"
#include "api/tally/movement_detail.h"

namespace tallystick::tally {
namespace {

std::optional<TransactionAnswer> Find(Client& client, const Operation& operation, const Id& id) {
  auto answer = client.Transaction(operation.program(), operation.member(), id);
  if (!answer.ok() || answer->outcome != Outcome::Ok) return std::nullopt;
  return *std::move(answer);
}

// How much a hold had when it was made, of which a capture of a part says nothing.
std::optional<Points> HeldBy(Client& client, const Operation& capture) {
  const auto hold = Find(client, capture, capture.related());
  if (!hold.has_value() || hold->movement.operation.kind() != Kind::Hold) return std::nullopt;
  return hold->movement.operation.amount();
}

// What follows from an operation and a result that has no detail slot.
std::optional<MovementDetail> PlainDetail(Client& client, const Operation& operation,
                                          const Result& result) {
  MovementDetail detail;
  if (operation.kind() == Kind::Capture) {
    detail.captured = -result.points();
    if (operation.amount() == 0) return detail;
    const std::optional<Points> held = HeldBy(client, operation);
    if (!held.has_value()) return std::nullopt;
    detail.given_back = *held - detail.captured;
  } else if (operation.kind() == Kind::ReverseRedemption) {
    detail.reinstated = result.points();
  }
  return detail;
}

std::optional<MovementDetail> AskDetail(Client& client, const Operation& operation,
                                        const Result& result) {
  if ((result.flags() & (kWrittenOff | kDetailed)) == 0) {
    return PlainDetail(client, operation, result);
  }
  const auto found = Find(client, operation, operation.id());
  if (!found.has_value()) return std::nullopt;
  return found->movement.detail;
}

std::optional<Instant> AskTimeout(Client& client, const Operation& operation, Position position) {
  const auto lots = client.Lots(operation.program(), operation.member());
  if (!lots.ok()) return std::nullopt;
  for (const HoldAnswer& hold : lots->holds) {
    if (hold.position == position) return hold.times_out_at;
  }
  return std::nullopt;
}

nlohmann::ordered_json ToJson(const Operation& operation, const Result& result,
                              const OperationStory& story) {
  const Kind kind = operation.kind();
  nlohmann::ordered_json json = {
      {"outcome", std::string(OutcomeName(result.outcome()))},
      {"replayed", (result.flags() & kReplayed) != 0},
      {"enrolled", (result.flags() & kEnrolled) != 0},
      {"written_off", (result.flags() & kWrittenOff) != 0},
      {"written_off_points",
       story.detail.has_value() ? nlohmann::ordered_json(story.detail->written_off) : nullptr},
      {"field", std::string(FieldName(result.field()))},
      {"kind", std::string(KindName(kind))},
      {"program", operation.program()},
      {"member", FormatId(operation.member())},
      {"id", FormatId(operation.id())},
      {"occurred_at", InstantJson(operation.occurred_at())},
      {"amount", operation.amount()},
      {"points", result.points()},
      {"available", result.available()},
      {"pending", result.pending()},
      {"position", result.position()}};
  if (!IsZero(operation.related())) json["related"] = FormatId(operation.related());
  if (result.outcome() != Outcome::Ok) {
    json["error"] = ExplainOutcome(result.outcome(), result.field());
    return json;
  }
  if (kind == Kind::Hold) {
    json["times_out_at"] =
        story.times_out_at.has_value() ? InstantJson(*story.times_out_at) : nullptr;
  }
  if (kind == Kind::Extend) json["expires_at"] = InstantJson(operation.expires_at());
  // Of a return, written_off is the flag.
  if (kind == Kind::Return) return json;
  auto detail = DetailJson(kind, story.detail.value_or(MovementDetail()));
  for (auto& points : detail) {
    if (!story.detail.has_value()) points = nullptr;
  }
  json.update(detail);
  return json;
}

std::string WrittenOffText(const OperationStory& story) {
  return absl::StrCat(
      story.detail.has_value() ? absl::StrCat(story.detail->written_off, " points") : "Part",
      " of what was due written off: the member's points and the debt that the program allows do "
      "not cover it.");
}

std::string HoldText(const Operation& operation, const OperationStory& story) {
  const std::string id = FormatId(operation.id());
  if (!story.times_out_at.has_value()) {
    return absl::StrCat("Hold ", id, " of ", operation.amount(), " points has ended since.");
  }
  return absl::StrCat("Hold ", id, ": ", operation.amount(), " points are held until ",
                      InstantText(*story.times_out_at), "; then they come back by themselves.");
}

std::string CaptureText(const Result& result, const OperationStory& story) {
  if (!story.detail.has_value()) {
    return (result.flags() & kDetailed) != 0
               ? "Debt was forgiven: tally transaction says how much."
               : absl::StrCat("Captured ", -result.points(), " points; the rest was given back.");
  }
  std::string text = absl::StrCat("Captured ", story.detail->captured, " points, given back ",
                                  story.detail->given_back, ".");
  if (story.detail->forgiven != 0) {
    absl::StrAppend(&text, " Forgiven ", story.detail->forgiven,
                    ": more debt than the program allows was left.");
  }
  return text;
}

std::string ReversalText(const Result& result, const OperationStory& story) {
  std::string text = absl::StrCat("Came back: ", result.points(), " points.");
  if (!story.detail.has_value()) {
    return text + " Others repaid what a return had written off, or are forfeited.";
  }
  if (story.detail->repaid != 0) {
    absl::StrAppend(&text, " Repaid ", story.detail->repaid, " of what a return had written off.");
  }
  if (story.detail->forfeited != 0) {
    absl::StrAppend(&text, " Forfeited ", story.detail->forfeited, ": they had expired meanwhile.");
  }
  return text;
}

std::string CloseText(const Result& result, const OperationStory& story) {
  std::string text = "The account is closed for ever.";
  if (!story.detail.has_value()) {
    return text + " What was left expired, debt was forgiven: tally transaction says how much.";
  }
  if ((result.flags() & kDetailed) != 0) {
    absl::StrAppend(&text, " Expired with it: ", story.detail->from_pending, " pending and ",
                    story.detail->from_available, " available points; forgiven: a debt of ",
                    story.detail->forgiven, ".");
  }
  return text;
}

// Beyond the first line; empty: nothing.
std::string StoryText(const Operation& operation, const Result& result,
                      const OperationStory& story) {
  switch (operation.kind()) {
    case Kind::Return: {
      std::string text = (result.flags() & kWrittenOff) != 0 ? WrittenOffText(story) : "";
      if (IsZero(operation.related())) {
        absl::StrAppend(&text, text.empty() ? "" : "\n",
                        "No --original was given: the newest points were taken, at today's rate.");
      }
      return text;
    }
    case Kind::Hold:
      return HoldText(operation, story);
    case Kind::Capture:
      return CaptureText(result, story);
    case Kind::Release:
      return "All that was held was given back.";
    case Kind::ReverseRedemption:
      return ReversalText(result, story);
    case Kind::Activate:
      return "The purchase's pending points can be used now; they expire when they would have.";
    case Kind::Cancel:
      return absl::StrCat("Cancelled ", -result.points(), " pending points of the purchase.");
    case Kind::Transfer:
      return absl::StrCat("Member ", FormatId(operation.related()), " has received them.");
    case Kind::Freeze:
      return "The member cannot redeem, hold or send points until tally unfreeze; all else goes "
             "on.";
    case Kind::Unfreeze:
      return "The member can redeem, hold and send points.";
    case Kind::Close:
      return CloseText(result, story);
    case Kind::Extend:
      return absl::StrCat("No points of the member expire before ",
                          InstantText(operation.expires_at()), ".");
    default:
      return "";
  }
}

// Of a dry run whose operation would be a new record.
OperationStory StoryOf(Client& client, const Operation& operation, const DryRunStep& step) {
  OperationStory story;
  const bool detailed = (step.result.flags() & (kWrittenOff | kDetailed)) != 0;
  story.detail = detailed ? step.detail : PlainDetail(client, operation, step.result);
  if (step.times_out_at != 0) story.times_out_at = step.times_out_at;
  return story;
}

nlohmann::ordered_json ToJson(const Operation& operation, const DryRunAnswer& answer,
                              const OperationStory& story) {
  const DryRunStep& step = answer.steps.front();
  nlohmann::ordered_json json = {
      {"dry_run", true}, {"recorded", false}, {"time", InstantJson(answer.time)}};
  json.update(ToJson(operation, step.result, story));
  if (step.result.position() == 0) json["position"] = nullptr;
  if (step.activates_at != 0) {
    json["lot"] = {{"activates_at", InstantJson(step.activates_at)},
                   {"expires_at", InstantJson(step.expires_at)}};
  }
  json["settled"] = nlohmann::ordered_json::array();
  for (const BalanceEvent& event : answer.events) {
    json["settled"].push_back({{"at", InstantJson(event.at)},
                               {"kind", std::string(KindName(event.kind))},
                               {"points", event.points}});
  }
  json["settled_count"] = answer.event_count;
  json["after"] = {{"pending", answer.pending},
                   {"available", answer.available},
                   {"held", answer.held},
                   {"debt", answer.debt},
                   {"status", std::string(StatusName(answer.status))}};
  return json;
}

void PrintWouldBe(const Operation& operation, const DryRunAnswer& answer,
                  const OperationStory& story) {
  const DryRunStep& step = answer.steps.front();
  const bool replayed = (step.result.flags() & kReplayed) != 0;
  std::printf("%s %s of member %s: %+ld points; available %ld, pending %ld.\n",
              replayed ? "Was done before, and would not be done again:" : "Would be done:",
              std::string(KindName(operation.kind())).c_str(), FormatId(operation.member()).c_str(),
              step.result.points(), step.result.available(), step.result.pending());
  if (step.activates_at != 0) {
    std::printf("The points would be available from %s, and expire %s.\n",
                InstantText(step.activates_at).c_str(), InstantText(step.expires_at).c_str());
  }
  if (step.times_out_at != 0) {
    std::printf("They would be held until %s.\n", InstantText(step.times_out_at).c_str());
  }
  if (!replayed && story.detail.has_value()) {
    const std::string detail = DetailText(operation.kind(), *story.detail);
    if (!detail.empty()) std::printf("Of it: %s.\n", detail.c_str());
  }
  if (answer.event_count > 0) {
    std::printf("With it %u activations, expiries and timeouts that are due would be recorded.\n",
                answer.event_count);
  }
  std::printf("After it: available %ld, pending %ld, held %ld, debt %ld.\n", answer.available,
              answer.pending, answer.held, answer.debt);
}

}  // namespace

void PrintDryRun(Client& client, const Operation& operation, const DryRunAnswer& answer,
                 bool json) {
  const DryRunStep& step = answer.steps.front();
  OperationStory story;
  story.detail.emplace();
  if (step.result.outcome() == Outcome::Ok) {
    story = (step.result.flags() & kReplayed) != 0 ? AskStory(client, operation, step.result)
                                                   : StoryOf(client, operation, step);
  }
  if (json) return PrintJson(ToJson(operation, answer, story));
  std::printf("Dry run as of %s: nothing was recorded.\n", InstantText(answer.time).c_str());
  if (step.result.outcome() == Outcome::Ok) PrintWouldBe(operation, answer, story);
}

OperationStory AskStory(Client& client, const Operation& operation, const Result& result) {
  OperationStory story;
  if (result.outcome() != Outcome::Ok) {
    story.detail.emplace();
    return story;
  }
  story.detail = AskDetail(client, operation, result);
  if (operation.kind() == Kind::Hold) {
    story.times_out_at = AskTimeout(client, operation, result.position());
  }
  return story;
}

void PrintOperation(const Operation& operation, const Result& result, const OperationStory& story,
                    bool json) {
  if (json) return PrintJson(ToJson(operation, result, story));
  if (result.outcome() != Outcome::Ok) return;
  const bool replayed = (result.flags() & kReplayed) != 0;
  std::printf("%s %s of member %s: %+ld points; available %ld, pending %ld.\n",
              replayed ? "Done before:" : "Done:", std::string(KindName(operation.kind())).c_str(),
              FormatId(operation.member()).c_str(), result.points(), result.available(),
              result.pending());
  const std::string text = StoryText(operation, result, story);
  if (!text.empty()) std::printf("%s\n", text.c_str());
  std::printf("To repeat it safely: %s\n", RepeatOptions(operation).c_str());
}

std::string RepeatOptions(const Operation& operation) {
  return absl::StrCat("--id ", FormatId(operation.id()), " --at ",
                      FormatInstant(operation.occurred_at()));
}

}  // namespace tallystick::tally
