// What is remembered of frames, and what makes it doubtful.
#include <memory>

#include <gtest/gtest.h>

#include "known_frames.hpp"

namespace {

using stealth::KnownFrames;
using Kind = KnownFrames::Kind;

constexpr KnownFrames::Address kPc = 0x7F0012345678, kCaller = 0x55550000ABCD, kOther = 0x55550000ABCE;

class Known : public testing::Test {
 protected:
  std::unique_ptr<KnownFrames> known_ = std::make_unique<KnownFrames>();
};

TEST_F(Known, NothingAtFirst) {
  EXPECT_EQ(known_->find(kPc).kind, Kind::unknown);
  EXPECT_EQ(known_->find(0).kind, Kind::unknown);
  EXPECT_FALSE(known_->is_called_by(kPc, kCaller));
  EXPECT_FALSE(known_->is_readable(kPc));
}

TEST_F(Known, AFrameAndItsCallers) {
  known_->learn(kPc, 48, kCaller);
  EXPECT_EQ(known_->find(kPc).kind, Kind::fixed);
  EXPECT_EQ(known_->find(kPc).distance, 48u);
  EXPECT_TRUE(known_->is_called_by(kPc, kCaller));
  EXPECT_FALSE(known_->is_called_by(kPc, kOther));
  EXPECT_FALSE(known_->is_called_by(kCaller, kPc));
  known_->learn(kPc, 48, kOther);
  EXPECT_EQ(known_->find(kPc).kind, Kind::fixed);
  EXPECT_TRUE(known_->is_called_by(kPc, kCaller));
  EXPECT_TRUE(known_->is_called_by(kPc, kOther));
}

TEST_F(Known, TwoDistancesVaryForGood) {
  known_->learn(kPc, 48, kCaller);
  known_->learn(kPc, 64, kCaller);
  EXPECT_EQ(known_->find(kPc).kind, Kind::varies);
  known_->learn(kPc, 64, kCaller);
  known_->learn(kPc, 48, kCaller);
  EXPECT_EQ(known_->find(kPc).kind, Kind::varies);
}

TEST_F(Known, DistancesThatAreNotKept) {
  constexpr std::size_t kMost = KnownFrames::kMostDistance;
  for (std::size_t const distance : {std::size_t{0}, std::size_t{12}, kMost + 8, std::size_t{1} << 17}) {
    KnownFrames::Address const pc = kOther + distance;
    known_->learn(pc, distance, kCaller);
    EXPECT_EQ(known_->find(pc).kind, Kind::varies) << distance;
  }
  known_->learn(kPc, kMost, kCaller);
  EXPECT_EQ(known_->find(kPc).distance, kMost);
}

TEST_F(Known, TheOutermost) {
  known_->learn_outermost(kPc);
  EXPECT_EQ(known_->find(kPc).kind, Kind::outermost);
  known_->learn_outermost(kPc);
  EXPECT_EQ(known_->find(kPc).kind, Kind::outermost);
  known_->learn(kPc, 16, kCaller);
  EXPECT_EQ(known_->find(kPc).kind, Kind::varies);
  known_->learn(kOther, 16, kCaller);
  known_->learn_outermost(kOther);
  EXPECT_EQ(known_->find(kOther).kind, Kind::varies);
}

TEST_F(Known, PagesThatWereRead) {
  known_->learn_readable(kPc);
  EXPECT_TRUE(known_->is_readable(kPc));
  EXPECT_TRUE(known_->is_readable(kPc / 4096 * 4096));
  EXPECT_TRUE(known_->is_readable(kPc / 4096 * 4096 + 4095));
  EXPECT_FALSE(known_->is_readable(kPc + 4096));
}

// More than there is room for: what is left is right.
TEST_F(Known, TheNewestStay) {
  constexpr KnownFrames::Address kMany = 1 << 20;
  for (KnownFrames::Address i = 1; i <= kMany; ++i) known_->learn(kPc + i, 8 * (1 + i % 1000), kCaller + i);
  int found = 0, paired = 0;
  for (KnownFrames::Address i = 1; i <= kMany; ++i) {
    KnownFrames::Frame const frame = known_->find(kPc + i);
    paired += known_->is_called_by(kPc + i, kCaller + i) ? 1 : 0;
    if (frame.kind == Kind::unknown) continue;
    ++found;
    EXPECT_EQ(frame.kind, Kind::fixed);
    EXPECT_EQ(frame.distance, 8 * (1 + i % 1000));
  }
  EXPECT_GT(found, 10'000);
  EXPECT_GT(paired, 20'000);
}

}  // namespace
