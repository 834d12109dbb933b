// The bytes that docs/protocol.md shows are what it says that they are.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstddef>
#include <fstream>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "api/encoding.h"
#include "api/frame.h"
#include "tests/api/frames.h"

namespace tallystick {
namespace {

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

}  // namespace
}  // namespace tallystick
