#include "memory/page/page.h"

#include <cstdint>
#include <type_traits>

#include "absl/status/status.h"
#include "gtest/gtest.h"
#include "memory/epoch/epoch.h"
#include "memory/page/page_allocator.h"
#include "memory/page/page_info.h"
#include "memory/page/page_location.h"
#include "primitives/page_id.h"

namespace mmsb {
namespace {

class PageTest : public testing::Test {
 protected:
  PageAllocator allocator_;
  Page& page_ = **allocator_.Allocate({.bytes = 100});
};

TEST_F(PageTest, IsMadeAndDestroyedOnlyByAllocators) {
  static_assert(!std::is_copy_constructible_v<Page>);
  static_assert(!std::is_move_constructible_v<Page>);
  static_assert(!std::is_destructible_v<Page>);
}

TEST_F(PageTest, EpochsOnlyAdvance) {
  EXPECT_EQ(page_.epoch(), Epoch());
  EXPECT_TRUE(page_.AdvanceTo(Epoch::FromValue(5)).ok());
  EXPECT_TRUE(page_.AdvanceTo(Epoch::FromValue(5)).ok());
  const absl::Status back = page_.AdvanceTo(Epoch::FromValue(4));
  EXPECT_EQ(back.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(back.message(), "page 0: epoch 4 is before its epoch 5");
  EXPECT_EQ(page_.epoch(), Epoch::FromValue(5));
  EXPECT_TRUE(page_.AdvanceTo(Epoch::FromValue(~uint64_t{0})).ok());
}

TEST_F(PageTest, InfoIsACopyOfAllButTheContents) {
  ASSERT_TRUE(allocator_.Acquire(page_.id()).ok());
  ASSERT_TRUE(allocator_.SetMetadata(page_.id(), "text").ok());
  ASSERT_TRUE(page_.AdvanceTo(Epoch::FromValue(3)).ok());
  const PageInfo info = page_.Info();
  EXPECT_EQ(info, (PageInfo{.id = PageId::FromValue(0),
                            .bytes = 100,
                            .location = PageLocation::Host(),
                            .epoch = Epoch::FromValue(3),
                            .holds = 1,
                            .metadata = "text"}));
  ASSERT_TRUE(allocator_.SetMetadata(page_.id(), "").ok());
  EXPECT_EQ(info.metadata, "text");
}

TEST_F(PageTest, ContentsAreAllOfThePage) {
  EXPECT_EQ(page_.contents().size(), 100u);
  EXPECT_EQ(page_.contents().data(), page_.address());
  const Page& unchanging = page_;
  EXPECT_EQ(unchanging.contents().data(), page_.address());
  EXPECT_EQ(unchanging.contents().size(), 100u);
}

}  // namespace
}  // namespace mmsb
