// Accounts of many lots against the naive model: they grow until their lots are joined, again and
// again, and everything else happens in between.
//
// TALLYSTICK_SEED=n runs one seed again; TALLYSTICK_RUNS=n makes a longer campaign.

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "tests/ledger/campaign.h"
#include "tests/ledger/ledger_pair.h"
#include "tests/ledger/random_operations.h"

namespace tallystick::ledger {
namespace {

using model::kDay;
using model::kHour;
using model::kMinute;

constexpr uint64_t kFirstSeed = 1;
constexpr uint64_t kRuns = 25;
constexpr int kStepsPerRun = 90;
constexpr uint64_t kRunsPerFullOne = 8;  // one of so many is at the limit
constexpr int64_t kMembers = 3;
constexpr uint16_t kProgram = 1;
// With more lots a chain may need too many records for its reversals, of which the model knows
// nothing.
constexpr size_t kFewForChains = 3'000;
// For a request of an account with many lots, and for what a parcel of them needs.
constexpr size_t kSlots = kMaxSlotsPerChain + kMaxLotsPerAccount + 2;

// What all runs together have met.
struct Tally {
  size_t accepted = 0;
  size_t derived = 0;
  size_t images = 0;
  size_t replayed = 0;
  size_t too_many = 0;
  size_t chains = 0;
  size_t received = 0;
  std::map<size_t, size_t> joinings;    // that joined some, by how many lots there were
  std::map<int, size_t> kinds_joining;  // of chains: 0
  size_t in_vain = 0;
  size_t joined = 0;  // lots that are no more
};

// The life of some accounts with many lots. Receipts live for days, lots for months: of a few
// dates, so that many expire together.
class LotsLife {
 public:
  LotsLife(uint64_t seed, bool is_full) : random_(seed), is_full_(is_full) {
    taste_.start = model::UtcInstant(2023, 1, 1) + random_.Between(0, 700 * kDay);
    stamp_ = taste_.start;
    import_clock_ = random_.OneIn(3);
    OperationTaste taste;
    taste.members = kMembers;
    taste.last_receiver = kMembers;
    taste.largest_points = 40;
    operations_ = std::make_unique<RandomOperations>(random_, pair_.machine(), taste);
  }

  void Go(Tally& tally) {
    NextBlock(false);
    Put(FewDays(RandomProgram(random_, taste_, kProgram)));
    for (int64_t member = 1; member <= kMembers; ++member) {
      Send({Make(member, model::Kind::kEnrol, 0)}, tally);
    }
    if (is_full_) Fill(tally);
    for (int i = 0; i < kStepsPerRun && !testing::Test::HasFailure(); ++i) Step(tally);
    while (!pair_.OpenTransfers().empty() && !testing::Test::HasFailure()) Deliver(0, tally);
    Settle();
    pair_.CompareAll();
    pair_.CompareReplay();
    tally.accepted += pair_.accepted();
    tally.derived += pair_.derived();
    tally.images += pair_.images();
  }

 private:
  // What later operations name, of one member.
  struct Accepted {
    std::vector<model::Operation> earned;
    std::vector<model::Operation> holds;
    std::vector<model::Operation> takings;
  };

  // ---- time and programs ----
  model::Program FewDays(model::Program program) {
    program.retention_days = static_cast<int32_t>(random_.Between(1, 3));
    program.return_days = static_cast<int32_t>(random_.Between(0, 3));
    program.pending_days = static_cast<int32_t>(random_.Pick<int64_t>({0, 0, 0, 1, 2}));
    if (random_.OneIn(2)) program.expiry = {};
    program.redeem_minimum = program.redeem_step = 1;
    program.transfer_minimum = 1;
    program.transfer_maximum = 0;
    program.effective_at = std::min(program.effective_at, std::max(stamp_, taste_.start));
    return program;
  }
  void Put(const model::Program& program) {
    newest_ = program;
    pair_.PutProgram(program, ++version_);
    operations_->AddProgram(program);
  }

  // Often so far that receipts die, and rarely so far that lots do.
  Instant Leap() {
    switch (random_.Between(0, 9)) {
      case 0:
      case 1:
        return random_.Between(0, 2);
      case 2:
      case 3:
        return random_.Between(0, kHour);
      case 4:
      case 5:
        return random_.Between(0, kDay);
      case 6:
      case 7:
      case 8:
        return random_.Between(kDay, 5 * kDay);
      default:
        return random_.OneIn(3) ? random_.Between(5 * kDay, 40 * kDay) : 5 * kDay;
    }
  }
  // At which something changes: most often receipts of what earned die, or have just not died.
  Instant Edge() {
    const std::vector<model::Operation>& earned = accepted_[1].earned;
    if (earned.empty() || random_.OneIn(3)) {
      return operations_->Edge(std::max(pair_.Now(), stamp_));
    }
    const auto last = static_cast<int64_t>(earned.size()) - 1;
    const model::Operation& original =
        earned[static_cast<size_t>(random_.Between(std::max<int64_t>(0, last - 300), last))];
    const int64_t days = random_.OneIn(2) ? newest_.retention_days : newest_.return_days;
    return original.occurred_at + days * kDay + random_.Between(0, 1);
  }
  void NextBlock(bool leaps) {
    if (leaps) {
      const Instant edge = random_.OneIn(3) ? Edge() : 0;
      if (edge > stamp_ && edge < stamp_ + 5 * kDay) {
        stamp_ = edge;
      } else {
        stamp_ += Leap();
      }
    }
    pair_.BeginBlock({stamp_, import_clock_}, 2 * kSlots, random_.OneIn(8));
  }
  void NeedRoom() {
    if (pair_.room() < kSlots) NextBlock(false);
  }
  Instant Now() { return std::max(pair_.Now(), stamp_); }

  // ---- operations ----
  model::Operation Make(int64_t member, model::Kind kind, int64_t amount, model::Id related = {}) {
    model::Operation operation;
    operation.id = {5, ++last_id_};
    operation.member = {0, static_cast<uint64_t>(member)};
    operation.related = related;
    operation.amount = amount;
    operation.occurred_at = Now();
    operation.program = kProgram;
    operation.kind = static_cast<uint8_t>(kind);
    return operation;
  }

  // Most lots go to one member.
  int64_t AnyMember() { return random_.Percent(75) ? 1 : random_.Between(1, kMembers); }
  int64_t Available(int64_t member) {
    const auto balance = pair_.naive().BalanceAt(kProgram, Member(member), Now());
    return balance.has_value() ? balance->available : 0;
  }
  static model::Id Member(int64_t member) { return {0, static_cast<uint64_t>(member)}; }

  // One of a few, most of them months away; behind what fills an account.
  Instant AnyExpiry() {
    std::erase_if(expiries_, [&](Instant at) { return at <= Now() + kMinute; });
    while (expiries_.size() < 4) {
      const bool is_near = random_.OneIn(3) && !is_full_;
      const Instant first = is_near ? kHour : is_full_ ? 120 * kDay : 20 * kDay;
      const Instant last = is_near ? 20 * kDay : 300 * kDay;
      expiries_.push_back(Now() + random_.Between(first, last));
    }
    return random_.OneIn(2) ? expiries_.front() : random_.Pick(expiries_);
  }

  enum class Mix { kAdjusts, kAccruals, kBoth, kAll };

  model::Operation DrawLot(int64_t member, Mix mix) {
    const int64_t what = mix == Mix::kAdjusts    ? 0
                         : mix == Mix::kAccruals ? 1
                         : mix == Mix::kBoth     ? random_.Between(0, 1)
                                                 : random_.Between(0, 2);
    const model::Kind kind = what == 0   ? model::Kind::kAdjust
                             : what == 1 ? model::Kind::kAccrue
                                         : model::Kind::kPurchase;
    model::Operation lot =
        Make(member, kind, random_.Between(1, kind == model::Kind::kPurchase ? 3'000 : 6));
    if (random_.OneIn(5)) lot.occurred_at -= random_.Between(0, kHour);
    if (random_.Percent(90)) lot.expires_at = AnyExpiry();
    // What they send to the account that is full arrives as many lots.
    if (is_full_ && member != 1) lot.expires_at = Now() + random_.Between(kDay, 200 * kDay);
    return lot;
  }

  // How much of what is available: a little, some, and rarely all.
  int64_t Part(int64_t available) {
    if (available <= 1) return 1;
    const int64_t what = random_.Between(0, 99);
    const bool is_little = what < 60 || (is_full_ && !random_.OneIn(300));
    if (is_little) return random_.Between(1, std::min<int64_t>(available, 20));
    const bool is_much = what < 97 || is_full_;
    if (is_much) return random_.Between(1, std::max<int64_t>(1, available / 5));
    return what < 99 ? available : random_.Between(1, available);
  }

  model::Id AnyOf(const std::vector<model::Operation>& operations) {
    if (operations.empty()) return {9, 9};
    const auto last = static_cast<int64_t>(operations.size()) - 1;
    const int64_t first = random_.OneIn(4) ? 0 : std::max<int64_t>(0, last - 8);
    return operations[static_cast<size_t>(random_.Between(first, last))].id;
  }

  model::Operation DrawOther(int64_t member) {
    const int64_t available = Available(member);
    Accepted& accepted = accepted_[member];
    const int64_t what = random_.Between(0, 99);
    if (what < 12) return Make(member, model::Kind::kRedeem, Part(available));
    if (what < 18) return Make(member, model::Kind::kAdjust, -Part(available));
    if (what < 32) {
      model::Operation hold = Make(member, model::Kind::kHold, Part(available));
      if (random_.OneIn(2)) hold.expires_at = Now() + random_.Between(1, 6 * kDay);
      return hold;
    }
    if (what < 38) {
      const int64_t amount = random_.OneIn(2) ? 0 : random_.Between(1, 20);
      return Make(member, model::Kind::kCapture, amount, AnyOf(accepted.holds));
    }
    if (what < 44) return Make(member, model::Kind::kRelease, 0, AnyOf(accepted.holds));
    if (what < 58) return DrawReversal(member, accepted);
    if (what < 72) return DrawReturn(member, accepted);
    if (what < 86) {
      return DrawTransfer(member);
    }
    if (what < 88) {
      model::Operation extend = Make(member, model::Kind::kExtend, 0);
      // An extension of what fills an account makes one lot of it.
      extend.expires_at = is_full_ ? Now() + random_.Between(1, 20 * kDay) : AnyExpiry();
      return extend;
    }
    if (what < 91) return Make(member, model::Kind::kActivate, 0, AnyOf(accepted.earned));
    if (what < 93) return Make(member, model::Kind::kCancel, 0, AnyOf(accepted.earned));
    if (what < 95) return Make(member, model::Kind::kUnfreeze, 0);
    return DrawLot(member, Mix::kAll);
  }

  model::Operation DrawTransfer(int64_t member) {
    const int64_t to = 1 + (member - 1 + random_.Between(1, kMembers - 1)) % kMembers;
    return Make(member, model::Kind::kTransfer, Part(Available(member)), Member(to));
  }

  model::Operation DrawReversal(int64_t member, const Accepted& accepted) {
    model::Operation reversal = Make(member, model::Kind::kReverseRedemption, 1, {9, 9});
    if (accepted.takings.empty()) return reversal;
    const auto last = static_cast<int64_t>(accepted.takings.size()) - 1;
    const int64_t first = std::max<int64_t>(0, last - 5);
    const model::Operation& original =
        accepted.takings[static_cast<size_t>(random_.Between(first, last))];
    reversal.related = original.id;
    const int64_t size = std::max<int64_t>(1, original.amount);
    reversal.amount = random_.OneIn(2) ? size : random_.Between(1, size);
    return reversal;
  }

  model::Operation DrawReturn(int64_t member, const Accepted& accepted) {
    model::Operation back = Make(member, model::Kind::kReturn, random_.Between(1, 30));
    if (random_.OneIn(3) || accepted.earned.empty()) {
      if (random_.OneIn(8)) back.amount = Part(Available(member));
      return back;
    }
    const bool any = random_.OneIn(3);
    const auto last = static_cast<int64_t>(accepted.earned.size()) - 1;
    const model::Operation& original = accepted.earned[static_cast<size_t>(
        random_.Between(any ? 0 : std::max<int64_t>(0, last - 200), last))];
    back.related = original.id;
    back.amount = random_.OneIn(2) ? original.amount : random_.Between(1, original.amount);
    return back;
  }

  // ---- steps ----
  void Send(const std::vector<model::Operation>& request, Tally& tally) {
    size_t done = 0;
    while (done < request.size() && !testing::Test::HasFailure()) {
      NeedRoom();
      const size_t before = pair_.naive().joinings().size();
      // One by one, if they are no chain: where lots are joined they are compared at once.
      size_t end = done;
      while (end + 1 < request.size() && (request[end].flags & model::kLinked) != 0) ++end;
      const std::vector<model::Operation> part{
          request.begin() + static_cast<std::ptrdiff_t>(done),
          request.begin() + static_cast<std::ptrdiff_t>(end + 1)};
      const size_t applied = pair_.Apply(part, random_.OneIn(40));
      for (size_t i = 0; i < applied; ++i) Note(part[i], pair_.last_results()[i], tally);
      if (applied < part.size()) {
        NextBlock(false);
        continue;
      }
      done += applied;
      const bool is_chain = part.size() > 1;
      if (is_chain && pair_.last_results()[0].outcome == model::Outcome::kOk) ++tally.chains;
      NoteJoinings(before, is_chain ? 0 : part.front().kind, tally);
      if (pair_.naive().joinings().size() > before || random_.OneIn(50)) {
        pair_.CompareAccount(part[0].program, part[0].member, pair_.Now());
      }
    }
  }

  void NoteJoinings(size_t before, int kind, Tally& tally) {
    const std::vector<model::Joining>& joinings = pair_.naive().joinings();
    for (size_t i = before; i < joinings.size(); ++i) {
      const size_t joined = joinings[i].before - joinings[i].after;
      if (joined == 0) {
        ++tally.in_vain;
        continue;
      }
      ++tally.joinings[joinings[i].before];
      ++tally.kinds_joining[kind];
      tally.joined += joined;
    }
  }

  void Note(const model::Operation& operation, const model::Result& result, Tally& tally) {
    tally.too_many += result.outcome == model::Outcome::kTooManyLots ? 1 : 0;
    tally.replayed += result.replayed ? 1 : 0;
    if (result.outcome != model::Outcome::kOk || result.replayed) return;
    operations_->Accepted(operation);
    if (random_.OneIn(20)) sent_ = operation;
    Accepted& accepted = accepted_[static_cast<int64_t>(operation.member.low)];
    switch (static_cast<model::Kind>(operation.kind)) {
      case model::Kind::kAccrue:
      case model::Kind::kPurchase:
        accepted.earned.push_back(operation);
        break;
      case model::Kind::kHold:
        accepted.holds.push_back(operation);
        break;
      case model::Kind::kRedeem:
      case model::Kind::kCapture:
        accepted.takings.push_back(operation);
        accepted.takings.back().amount = -result.points;  // of a capture of all
        break;
      default:
        break;
    }
  }

  void Grow(Tally& tally) {
    const int64_t member = AnyMember();
    const int64_t what = random_.Between(0, 99);
    const int64_t lots = is_full_    ? random_.Between(1, 150)
                         : what < 85 ? random_.Between(1, 320)
                         : what < 97 ? random_.Between(300, 800)
                                     : random_.Between(800, 2'500);
    const auto mix = static_cast<Mix>(random_.Between(0, 3));
    for (int64_t i = 0; i < lots && !testing::Test::HasFailure(); ++i) {
      if (WillJoin(member) && random_.Percent(is_full_ ? 30 : 70)) JoinOtherwise(member, tally);
      Send({DrawLot(member, mix)}, tally);
      if (random_.OneIn(60)) Send({DrawOther(member)}, tally);
    }
  }

  size_t LotsOf(int64_t member) {
    const auto balance = pair_.machine().BalanceAt(kProgram, Id(Member(member).low, 0), Now());
    return balance.has_value() ? balance->lot_count : 0;
  }
  // Or might, if more than one are added.
  bool WillJoin(int64_t member) {
    const size_t lots = LotsOf(member);
    const bool is_nearly_full = lots + 12 > model::kMaxLotsWithPoints;
    return is_nearly_full || (lots >= 256 && (lots & (lots - 1)) == 0);
  }

  // Not by a lot that is added alone.
  void JoinOtherwise(int64_t member, Tally& tally) {
    switch (random_.Between(0, 6)) {
      case 0:
        Send({Make(member, model::Kind::kHold, Part(Available(member)))}, tally);
        break;
      case 1:
        Send({DrawTransfer(member)}, tally);
        break;
      case 2:
        Send({DrawReversal(member, accepted_[member])}, tally);
        break;
      case 3:
        SendChain(member, tally);
        break;
      case 4:
        Send({DrawTransfer(random_.Between(2, kMembers))}, tally);
        break;
      default:
        Deliver(member, tally);
    }
  }

  // Nearly as many lots as there may be, most of which differ.
  void Fill(Tally& tally) {
    const Instant first = Now() + 100 * kDay;
    for (int64_t i = 0; i < 10'150 && !testing::Test::HasFailure(); ++i) {
      model::Operation lot = Make(1, model::Kind::kAdjust, 2);
      lot.expires_at = first + i / 2 * 2 * kMinute + (i % 80 == 1 ? 0 : i % 2);
      Send({lot}, tally);
    }
  }

  void SendChain(int64_t member, Tally& tally) {
    std::vector<model::Operation> chain;
    const int64_t length = random_.Between(2, random_.OneIn(3) ? 40 : 6);
    while (static_cast<int64_t>(chain.size()) < length) {
      model::Operation link = random_.Percent(85) ? DrawLot(member, Mix::kAll) : DrawOther(member);
      const auto kind = static_cast<model::Kind>(link.kind);
      if (kind == model::Kind::kTransfer) continue;
      const bool reverses = kind == model::Kind::kReverseRedemption;
      if (reverses && LotsOf(member) > kFewForChains) continue;
      link.flags = model::kLinked;
      chain.push_back(link);
    }
    chain.back().flags = 0;
    Send(chain, tally);
  }

  // One of the transfers on their way, to that member if there is one, arrives, or is settled, or
  // both.
  void Deliver(int64_t member, Tally& tally) {
    const std::vector<model::OpenTransfer> open = pair_.OpenTransfers();
    if (open.empty()) return;
    model::OpenTransfer transfer = random_.Pick(open);
    for (const model::OpenTransfer& other : open) {
      if (other.to == Member(member) && !arrived_.contains(other.sequence)) transfer = other;
    }
    NeedRoom();
    const auto known = arrived_.find(transfer.sequence);
    if (known == arrived_.end() || (known->second == model::Outcome::kOk && random_.OneIn(3))) {
      const LedgerPair::Sent sent = pair_.WriteParcel(transfer, 0, open.front().sequence);
      const size_t before = pair_.naive().joinings().size();
      const model::Result result = pair_.Receive(sent);
      arrived_[transfer.sequence] = result.outcome;
      tally.too_many += result.outcome == model::Outcome::kTooManyLots ? 1 : 0;
      tally.received += result.outcome == model::Outcome::kOk ? 1 : 0;
      NoteJoinings(before, static_cast<int>(model::Kind::kTransferIn), tally);
      pair_.CompareAccount(transfer.program, transfer.to, pair_.Now());
    }
    if (random_.OneIn(3)) return;
    NeedRoom();
    pair_.Finish(transfer, arrived_[transfer.sequence]);
    pair_.CompareAccount(transfer.program, transfer.from, pair_.Now());
  }

  // Until nothing is due.
  void Settle() {
    NeedRoom();
    while (pair_.SettleDue(static_cast<uint32_t>(random_.Between(1, 50))) &&
           !testing::Test::HasFailure()) {
      NeedRoom();
    }
  }

  void Step(Tally& tally) {
    pair_.ContinueImage(static_cast<size_t>(random_.Between(1, 60'000)));
    const int64_t what = random_.Between(0, 99);
    if (random_.OneIn(4)) Deliver(random_.Between(1, kMembers), tally);
    if (what < 30) {
      Grow(tally);
    } else if (what < 55) {
      const int64_t member = is_full_ ? random_.Between(1, kMembers) : AnyMember();
      const int64_t others = random_.Between(1, 12);
      for (int64_t i = 0; i < others; ++i) Send({DrawOther(member)}, tally);
    } else if (what < 63) {
      SendChain(AnyMember(), tally);
    } else if (what < 66) {
      if (LotsOf(1) < kFewForChains) Send(operations_->Request(Now(), import_clock_), tally);
    } else if (what < 68) {
      if (sent_.kind != 0) Send({sent_}, tally);
    } else if (what < 92) {
      NextBlock(true);
    } else if (what < 96) {
      const int64_t member = random_.Between(1, kMembers);
      pair_.CompareAccount(kProgram, Member(member), Now() + random_.Between(0, 60 * kDay));
    } else if (what < 98) {
      Settle();
      pair_.CompareAll();
    } else if (version_ < 5) {
      NeedRoom();
      Put(FewDays(RandomSuccessor(random_, taste_, newest_, pair_.Now())));
    }
  }

  Random random_;
  bool is_full_;
  LedgerPair pair_;
  ProgramTaste taste_;
  std::unique_ptr<RandomOperations> operations_;
  Instant stamp_;
  bool import_clock_;
  int32_t version_ = 0;
  model::Program newest_;
  std::vector<Instant> expiries_;
  std::map<int64_t, Accepted> accepted_;                    // by member
  model::Operation sent_;                                   // one of those accepted
  std::map<LedgerPair::Sequence, model::Outcome> arrived_;  // of transfers on their way
  uint64_t last_id_ = 0;
};

TEST(LotsModel, ManyLotsAnswerAsTheNaiveModel) {
  const uint64_t only = FromEnvironment("TALLYSTICK_SEED", 0);
  const uint64_t first = only != 0 ? only : kFirstSeed;
  const uint64_t runs = only != 0 ? 1 : FromEnvironment("TALLYSTICK_RUNS", kRuns);
  Tally tally;
  for (uint64_t seed = first; seed < first + runs && !HasFailure(); ++seed) {
    SCOPED_TRACE("TALLYSTICK_SEED=" + std::to_string(seed));
    LotsLife(seed, seed % kRunsPerFullOne == 1).Go(tally);
  }
  std::string joinings;
  size_t at_powers = 0;
  size_t at_limit = 0;
  for (const auto& [lots, count] : tally.joinings) {
    const bool is_power = (lots & (lots - 1)) == 0;
    (is_power ? at_powers : at_limit) += count;
    if (is_power) joinings += " " + std::to_string(lots) + ":" + std::to_string(count);
  }
  std::string kinds;
  for (const auto& [kind, count] : tally.kinds_joining) {
    kinds += " " + std::to_string(kind) + ":" + std::to_string(count);
  }
  std::printf(
      "seeds %lu to %lu: %zu accepted, %zu derived, %zu replayed, %zu chains, %zu parcels, "
      "%zu images; joined at%s, at the limit:%zu; by kind%s; in vain %zu, %zu lots gone, "
      "too many lots %zu\n",
      first, first + runs - 1, tally.accepted, tally.derived, tally.replayed, tally.chains,
      tally.received, tally.images, joinings.c_str(), at_limit, kinds.c_str(), tally.in_vain,
      tally.joined, tally.too_many);
  // A campaign in which little is joined proves nothing.
  if (runs < kRuns) return;
  EXPECT_GT(at_powers, runs * 10);
  EXPECT_GT(at_limit, runs / 2);
  EXPECT_GT(tally.joined, runs * 1'000);
  EXPECT_GT(tally.in_vain, runs);
  EXPECT_GT(tally.too_many, runs / 4);
  EXPECT_GT(tally.chains, runs);
  EXPECT_GT(tally.received, runs);
  EXPECT_GT(tally.images, runs / 2);
  for (const size_t many : {256, 512, 1'024, 2'048}) {
    EXPECT_GT(tally.joinings[many], runs / 10) << many;
  }
  EXPECT_GT(tally.kinds_joining[0], runs / 10);
  for (const Kind kind : {Kind::Accrue, Kind::Purchase, Kind::Adjust, Kind::Hold, Kind::Transfer,
                          Kind::ReverseRedemption, Kind::TransferIn}) {
    EXPECT_GT(tally.kinds_joining[static_cast<int>(kind)], runs / 10) << EnumNameKind(kind);
  }
}

}  // namespace
}  // namespace tallystick::ledger
