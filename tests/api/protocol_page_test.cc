// The bytes that docs/protocol.md shows are what it says that they are, and its tables name what
// the schema has.

#include <flatbuffers/idl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstddef>
#include <fstream>
#include <iterator>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "api/encoding.h"
#include "api/frame.h"
#include "tests/api/frames.h"

namespace tallystick {
namespace {

using ::testing::ElementsAreArray;
using ::testing::HasSubstr;
using ::testing::SizeIs;

// The frames in the page's blocks of hex: "1c: 0a 00 00 00  ; comment". Checks the offsets.
std::vector<FrameBuffer> FramesOfThePage() {
  std::ifstream page(TALLYSTICK_SOURCE_DIR "/docs/protocol.md");
  EXPECT_TRUE(page.is_open());
  std::vector<FrameBuffer> frames;
  std::vector<std::byte> bytes;
  bool inside = false;
  for (std::string line; std::getline(page, line);) {
    if (line == "```hex") {
      inside = true;
    } else if (inside && line == "```") {
      inside = false;
      frames.emplace_back().Append(std::exchange(bytes, {}));
    } else if (inside) {
      std::istringstream words(line.substr(0, line.find(';')));
      std::string word;
      words >> word;
      EXPECT_EQ(std::stoul(word, nullptr, 16), bytes.size()) << line;
      while (words >> word) bytes.push_back(static_cast<std::byte>(std::stoul(word, nullptr, 16)));
    }
  }
  return frames;
}

const protocol::Frame* Read(const FrameBuffer& frame) {
  const absl::StatusOr<ReceivedFrame> received = ReadFrame(BytesOf(frame));
  EXPECT_TRUE(received.ok()) << received.status();
  return received.ok() ? received->frame : nullptr;
}

TEST(ProtocolPage, ShowsTheFramesThatItDescribes) {
  const std::vector<FrameBuffer> frames = FramesOfThePage();
  ASSERT_THAT(frames, SizeIs(3));

  const protocol::Frame* hello = Read(frames[0]);
  ASSERT_NE(hello, nullptr);
  EXPECT_EQ(hello->request(), 1u);
  ASSERT_NE(hello->body_as_Hello(), nullptr);
  EXPECT_EQ(hello->body_as_Hello()->version(), kProtocolVersion);
  EXPECT_EQ(Text(hello->body_as_Hello()->client()), "demo");

  const protocol::Frame* submit = Read(frames[1]);
  ASSERT_NE(submit, nullptr);
  EXPECT_EQ(submit->request(), 2u);
  ASSERT_NE(submit->body_as_Submit(), nullptr);
  EXPECT_EQ(submit->body_as_Submit()->overloads_seen(), 0u);
  ASSERT_EQ(submit->body_as_Submit()->operations()->size(), 1u);
  const Operation purchase(Id(0x0102030405060708, 0x1112131415161718), Id(7, 0), Id(), 9500,
                           1'767'225'600'000'000, 0, 42, 1, 0, Kind::Purchase, 0, 0);
  EXPECT_TRUE(SameBytes(*submit->body_as_Submit()->operations()->Get(0), purchase));

  const protocol::Frame* results = Read(frames[2]);
  ASSERT_NE(results, nullptr);
  EXPECT_EQ(results->request(), 2u);
  ASSERT_NE(results->body_as_Results(), nullptr);
  ASSERT_EQ(results->body_as_Results()->results()->size(), 1u);
  const Result earned(95, 95, 0, 1, Outcome::Ok, kEnrolled, Field::None, 0, 0);
  EXPECT_EQ(std::memcmp(results->body_as_Results()->results()->Get(0), &earned, sizeof(earned)), 0);
}

// The layout is this implementation's too.
TEST(ProtocolPage, ShowsTheBytesThatAreSent) {
  const std::vector<FrameBuffer> frames = FramesOfThePage();
  ASSERT_THAT(frames, SizeIs(3));
  const FrameBuffer hello = BuiltFrame(BuildHello, 1, "demo");
  ASSERT_EQ(frames[0].size(), hello.size());
  EXPECT_EQ(std::memcmp(frames[0].data(), hello.data(), hello.size()), 0);
  const Result earned(95, 95, 0, 1, Outcome::Ok, kEnrolled, Field::None, 0, 0);
  const FrameBuffer results = ResultsFrame(2, {&earned, 1});
  ASSERT_EQ(frames[2].size(), results.size());
  EXPECT_EQ(std::memcmp(frames[2].data(), results.data(), results.size()), 0);
}

std::string TextOf(const std::string& path) {
  std::ifstream file(absl::StrCat(TALLYSTICK_SOURCE_DIR, "/", path));
  EXPECT_TRUE(file.is_open()) << path;
  return {std::istreambuf_iterator<char>(file), {}};
}

class Schema {
 public:
  Schema() {
    const char* includes[] = {TALLYSTICK_SOURCE_DIR, nullptr};
    EXPECT_TRUE(parser_.Parse(TextOf("api/protocol.fbs").c_str(), includes,
                              TALLYSTICK_SOURCE_DIR "/api/protocol.fbs"))
        << parser_.error_;
  }
  std::vector<std::string> FieldsOf(const std::string& type) {
    std::vector<std::string> fields;
    const auto* found = parser_.LookupStruct("tallystick.protocol." + type);
    EXPECT_NE(found, nullptr) << type;
    if (found == nullptr) return fields;
    for (const auto* field : found->fields.vec) fields.push_back(field->name);
    return fields;
  }
  std::vector<std::string> ValuesOf(const std::string& type) {
    std::vector<std::string> values;
    const auto* found = parser_.enums_.Lookup("tallystick.protocol." + type);
    EXPECT_NE(found, nullptr) << type;
    if (found == nullptr) return values;
    for (const auto* value : found->Vals()) values.push_back(value->name);
    return values;
  }

 private:
  flatbuffers::Parser parser_;
};

TEST(ProtocolPage, NamesEachRequestWithItsReply) {
  const std::string page = TextOf("docs/protocol.md");
  for (const std::string& message : Schema().ValuesOf("Body")) {
    std::string request(message);
    if (!absl::EndsWith(message, "Reply") || message == "HelloReply") continue;
    request.resize(message.size() - std::string("Reply").size());
    // BalanceGet, ProgramPut, SnapshotTake, TickTo.
    EXPECT_THAT(page, ::testing::ContainsRegex(
                          absl::StrCat("\n\\| ", request, "(Get|Take|To)? \\| ", message, " ")));
  }
}

TEST(ProtocolPage, NamesWhatHoldsAndDetailsHave) {
  const std::string page = TextOf("docs/protocol.md");
  Schema schema;
  std::vector<std::string> rows;
  const std::string head = "| field | Return |";
  ASSERT_THAT(page, HasSubstr(head));
  for (const absl::string_view line : absl::StrSplit(page.substr(page.find(head)), '\n')) {
    if (line.empty()) break;
    if (absl::StartsWith(line, "| `")) {
      rows.emplace_back(line.substr(3, line.find('`', 3) - 3));
    }
  }
  std::vector<std::string> fields = schema.FieldsOf("MovementDetail");
  ASSERT_FALSE(fields.empty());
  EXPECT_EQ(fields.front(), "position");
  fields.erase(fields.begin());
  EXPECT_THAT(rows, ElementsAreArray(fields));
  const std::string holds = page.substr(page.find("An **OpenHold**"), 300);
  for (const std::string& field : schema.FieldsOf("OpenHold")) {
    EXPECT_THAT(holds, HasSubstr(absl::StrCat("`", field, "`")));
  }
  for (const std::string& status : schema.ValuesOf("AccountStatus")) {
    EXPECT_THAT(page, HasSubstr(absl::StrCat("`", status, "`")));
  }
}

}  // namespace
}  // namespace tallystick
