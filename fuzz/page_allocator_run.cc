#include "fuzz/page_allocator_run.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <limits>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "allocator/testing/failing_upstream.h"
#include "fuzz/program.h"
#include "memory/epoch/epoch.h"
#include "memory/invariants.h"
#include "memory/page/page.h"
#include "memory/page/page_allocator.h"
#include "memory/page/page_allocator_snapshot.h"
#include "memory/page/page_info.h"
#include "memory/page/page_location.h"
#include "primitives/alignment.h"
#include "primitives/page_id.h"

namespace mmsb {
namespace {

using Op = PageAllocatorOp;
using enum ProgramArg;

constexpr ProgramKind::Value kSetup[] = {
    {"quota_bytes", kSize},         // 0 for none
    {"alignment_log2", kByte},      // modulo 13
    {"upstream_max_bytes", kSize},  // 0 for kUpstreamBytes
    {"fail_at", kByte},             // 0 for never
    {"fail_from", kByte},           // 0 for never
};

constexpr ProgramKind::Op kOps[] = {
    {"kAllocate", kSize},
    {"kAllocateId", kSize, kSize},
    {"kAllocateAt", kSize, kByte},
    {"kAcquire", kByte},
    {"kRelease", kByte},
    {"kFree", kByte},
    {"kUnknown", kSize},
    {"kSetMetadata", kByte, kByte},
    {"kAdvance", kByte, kByte},
    {"kWrite", kByte, kByte},
    {"kSnapshot"},
    {"kRestore"},
    {"kAllocateMany", kSize, kByte},
    {"kFreeMany", kByte, kByte},
};
static_assert(std::size(kOps) == Op::kOpCount);

constexpr size_t kUpstreamBytes = size_t{1} << 16;
// Beyond these the model costs too much: pages that are live, of which two
// leaves of the index are full, and those that kAllocateMany makes in all.
constexpr size_t kMaxPages = 520;
constexpr size_t kMaxMade = 600;
// A fourth of all numbers fill a leaf; with the others a program is short.
constexpr uint64_t kManyFrom = 192;

// The last has no frames.
const PageLocation kLocations[] = {
    PageLocation::Host(), PageLocation::Unified(), PageLocation::Device(0),
    PageLocation::Device(7)};

using Codes = std::vector<absl::StatusCode>;

// What is wrong with a status that should have one of `codes`, or be OK when
// there are none.
std::string Compare(const absl::Status& status, const Codes& codes) {
  const bool right = codes.empty() ? status.ok()
                                   : std::find(codes.begin(), codes.end(),
                                               status.code()) != codes.end();
  return right ? "" : "wrong status: " + status.ToString();
}

class Model {
 public:
  Model(const PageAllocator::Options& options, FailingUpstream& frames)
      : options_(options), frames_(frames), pages_(options, frames) {}

  std::string Run(const Program& program) {
    for (size_t i = 1; i + 1 < std::size(kLocations); ++i) {
      std::string error = Compare(pages_.AddFrames(kLocations[i], frames_), {});
      if (!error.empty()) return error;
    }
    for (size_t i = 0; i < program.steps.size(); ++i) {
      std::string error = Perform(program.steps[i]);
      if (error.empty()) error = Check(i % 32 == 31);
      if (!error.empty()) return AtStep(i, error);
    }
    std::string error = Check(true);
    while (error.empty() && !model_.empty()) {
      const uint64_t id = model_.begin()->first;
      while (error.empty() && model_.begin()->second.holds != 0) {
        --model_.begin()->second.holds;
        error = Compare(pages_.Release(PageId::FromValue(id)), {});
      }
      if (error.empty()) error = Free(id);
    }
    if (error.empty()) error = Check(true);
    if (error.empty() && frames_.bytes() != 0) error = "frames are kept";
    return error.empty() ? "" : "at the end: " + error;
  }

 private:
  // What a page should be.
  struct Image {
    size_t bytes = 0;
    PageLocation location = {};
    uint32_t holds = 0;
    uint64_t epoch = 0;
    std::string metadata = {};
    uint8_t seed = 0;  // of the contents
  };
  using Images = std::map<uint64_t, Image>;

  static std::byte ByteAt(uint8_t seed, size_t i) {
    return static_cast<std::byte>(seed + i * 7 + i / 256);
  }

  void Write(Page& page, uint8_t seed) {
    const std::span<std::byte> contents = page.contents();
    for (size_t i = 0; i < contents.size(); ++i) contents[i] = ByteAt(seed, i);
  }

  // Of a frame for `bytes`; 0 when there is none.
  [[nodiscard]] size_t FrameBytes(size_t bytes) const {
    const size_t alignment = options_.alignment.bytes();
    if (bytes > std::numeric_limits<size_t>::max() - (alignment - 1)) return 0;
    return (bytes + alignment - 1) / alignment * alignment;
  }

  [[nodiscard]] size_t LiveBytes() const {
    size_t bytes = 0;
    for (const auto& [id, image] : model_) bytes += FrameBytes(image.bytes);
    return bytes;
  }

  std::string Perform(const Program::Step& step) {
    switch (step.op) {
      case Op::kAllocate:
        return Allocate(step.a, std::nullopt, PageLocation::Host());
      case Op::kAllocateId:
        return Allocate(step.a, step.b, PageLocation::Host());
      case Op::kAllocateAt:
        return Allocate(step.a, std::nullopt,
                        kLocations[step.b % std::size(kLocations)]);
      case Op::kAllocateMany: {
        std::string error;
        const uint64_t count = step.b < kManyFrom ? step.b % 32 : step.b;
        for (uint64_t i = 0; i < count && error.empty(); ++i) {
          if (model_.size() >= kMaxPages || ++made_ > kMaxMade) break;
          error = Allocate(1, step.a + i, PageLocation::Host());
        }
        return error;
      }
      case Op::kFreeMany: {
        std::string error;
        auto it = model_.begin();
        if (it != model_.end()) std::advance(it, step.a % model_.size());
        for (uint64_t i = 0; i < step.b && it != model_.end(); ++i) {
          error = Free((it++)->first);
          if (!error.empty()) break;
        }
        return error;
      }
      case Op::kUnknown:
        return Unknown(step.a);
      case Op::kSnapshot:
        return Snapshot();
      case Op::kRestore:
        return Restore();
      default:
        break;
    }
    if (model_.empty()) return "";
    const auto it = std::next(model_.begin(),
                              static_cast<ptrdiff_t>(step.a % model_.size()));
    const PageId id = PageId::FromValue(it->first);
    Image& image = it->second;
    switch (step.op) {
      case Op::kAcquire:
        ++image.holds;
        return Compare(pages_.Acquire(id).status(), {});
      case Op::kRelease:
        if (image.holds == 0) {
          return Compare(pages_.Release(id),
                         {absl::StatusCode::kFailedPrecondition});
        }
        --image.holds;
        return Compare(pages_.Release(id), {});
      case Op::kFree:
        return Free(it->first);
      case Op::kSetMetadata:
        image.metadata.assign(step.b, static_cast<char>(step.b));
        return Compare(pages_.SetMetadata(id, image.metadata), {});
      case Op::kAdvance: {
        Codes codes;
        if (step.b < image.epoch) {
          codes = {absl::StatusCode::kFailedPrecondition};
        } else {
          image.epoch = step.b;
        }
        return Compare(pages_.Find(id)->AdvanceTo(Epoch::FromValue(step.b)),
                       codes);
      }
      default:
        image.seed = static_cast<uint8_t>(step.b);
        Write(*pages_.Find(id), image.seed);
        return "";
    }
  }

  std::string Allocate(size_t bytes, std::optional<uint64_t> number,
                       PageLocation location) {
    const PageId id =
        number.has_value() ? PageId::FromValue(*number) : PageId();
    const size_t frame = FrameBytes(bytes);
    Codes codes;
    if (bytes == 0 || frame == 0) {
      codes.push_back(absl::StatusCode::kInvalidArgument);
    }
    if (id.valid() && model_.contains(id.value())) {
      codes.push_back(absl::StatusCode::kAlreadyExists);
    }
    if (location == *std::rbegin(kLocations)) {
      codes.push_back(absl::StatusCode::kFailedPrecondition);
    }
    const uint64_t refused = frames_.failures();
    const absl::StatusOr<Page*> page =
        pages_.Allocate({.bytes = bytes, .id = id, .location = location});
    if (frame > options_.quota_bytes - live_bytes_ ||
        frames_.failures() != refused) {
      codes.push_back(absl::StatusCode::kResourceExhausted);
    }
    std::string error = Compare(page.status(), codes);
    if (!error.empty() || !page.ok()) return error;
    const uint64_t got = (*page)->id().value();
    if (id.valid() ? got != id.value()
                   : got < next_id_ || model_.contains(got)) {
      return "a wrong id: " + std::to_string(got);
    }
    if (!id.valid()) next_id_ = got + 1;
    Image& image = model_[got];
    live_bytes_ += frame;
    image = {.bytes = bytes,
             .location = location,
             .seed = static_cast<uint8_t>(got)};
    Write(**page, image.seed);
    return "";
  }

  std::string Free(uint64_t id) {
    const auto it = model_.find(id);
    if (it->second.holds != 0) {
      return Compare(pages_.Free(PageId::FromValue(id)),
                     {absl::StatusCode::kFailedPrecondition});
    }
    live_bytes_ -= FrameBytes(it->second.bytes);
    model_.erase(it);
    return Compare(pages_.Free(PageId::FromValue(id)), {});
  }

  std::string Unknown(uint64_t number) {
    if (model_.contains(number)) return "";
    const PageId id = PageId::FromValue(number);
    const Codes codes = {absl::StatusCode::kNotFound};
    std::string error = Compare(pages_.Acquire(id).status(), codes);
    if (error.empty()) error = Compare(pages_.Release(id), codes);
    if (error.empty()) error = Compare(pages_.Free(id), codes);
    if (error.empty()) error = Compare(pages_.SetMetadata(id, "x"), codes);
    if (error.empty() && pages_.Find(id) != nullptr) error = "found a page";
    return error;
  }

  std::string Snapshot() {
    absl::StatusOr<PageAllocatorSnapshot> snapshot = pages_.Snapshot();
    Codes codes;
    for (const auto& [id, image] : model_) {
      if (!image.location.host_accessible()) {
        codes = {absl::StatusCode::kFailedPrecondition};
      }
    }
    std::string error = Compare(snapshot.status(), codes);
    if (error.empty() && snapshot.ok()) {
      snapshot_ = *std::move(snapshot);
      snapshot_model_ = model_;
      snapshot_next_id_ = next_id_;
    }
    return error;
  }

  std::string Restore() {
    if (!snapshot_.has_value()) return "";
    Codes codes;
    for (const auto& [id, image] : model_) {
      const auto it = snapshot_model_.find(id);
      const bool kept = it != snapshot_model_.end() &&
                        it->second.bytes == image.bytes &&
                        it->second.location == image.location;
      if (!kept && image.holds != 0) {
        codes = {absl::StatusCode::kFailedPrecondition};
      }
    }
    const uint64_t refused = frames_.failures();
    const absl::Status status = pages_.Restore(*snapshot_);
    if (frames_.failures() != refused) {
      codes.push_back(absl::StatusCode::kResourceExhausted);
    }
    std::string error = Compare(status, codes);
    if (error.empty() && status.ok()) {
      model_ = snapshot_model_;
      live_bytes_ = LiveBytes();
      next_id_ = snapshot_next_id_;
    }
    return error;
  }

  // All of it, or what takes little time.
  std::string Check(bool all) {
    if (pages_.Stats().live() != live_bytes_) return "wrong live";
    if (frames_.bytes() != live_bytes_) return "the upstream has other frames";
    if (pages_.page_count() != model_.size()) return "wrong page_count";
    if (!all) return "";
    if (absl::Status status = CheckInvariants(pages_); !status.ok()) {
      return status.ToString();
    }
    if (!pages_.Stats().IdentityHolds()) return "the identity does not hold";
    const std::vector<PageInfo> infos = pages_.PageInfos();
    if (infos.size() != model_.size()) return "PageInfos miscounts";
    auto info = infos.begin();
    for (const auto& [id, image] : model_) {
      const Page* const page = pages_.Find(PageId::FromValue(id));
      const std::string where = "page " + std::to_string(id) + ": ";
      if (page == nullptr) return where + "lost";
      if (info->id.value() != id) return where + "not in PageInfos";
      ++info;
      if (page->size() != image.bytes || page->location() != image.location ||
          page->holds() != image.holds || page->metadata() != image.metadata ||
          page->epoch() != Epoch::FromValue(image.epoch)) {
        return where + "other facts";
      }
      const std::span<const std::byte> bytes = page->contents();
      if (image.location.host_accessible() != !bytes.empty()) {
        return where + "wrong contents";
      }
      for (size_t i = 0; i < bytes.size(); ++i) {
        if (bytes[i] != ByteAt(image.seed, i)) return where + "overwritten";
      }
    }
    return "";
  }

  const PageAllocator::Options options_;
  FailingUpstream& frames_;
  PageAllocator pages_;
  Images model_;
  size_t live_bytes_ = 0;  // LiveBytes() of the model
  size_t made_ = 0;        // by kAllocateMany
  uint64_t next_id_ = 0;
  std::optional<PageAllocatorSnapshot> snapshot_;
  Images snapshot_model_;
  uint64_t snapshot_next_id_ = 0;
};

uint64_t OrElse(uint64_t value, uint64_t otherwise) {
  return value == 0 ? otherwise : value;
}

}  // namespace

const ProgramKind kPageAllocatorProgram = {"PageAllocator", kSetup, kOps,
                                           RunPageAllocatorProgram};

std::string RunPageAllocatorProgram(const Program& program) {
  const auto& setup = program.setup;
  FailingUpstream frames(
      {.fail_at = OrElse(setup[3], FailingUpstream::kNever),
       .fail_from = OrElse(setup[4], FailingUpstream::kNever),
       .max_bytes =
           std::min<size_t>(OrElse(setup[2], kUpstreamBytes), kUpstreamBytes)});
  return Model({.quota_bytes =
                    OrElse(setup[0], std::numeric_limits<size_t>::max()),
                .alignment = Alignment::FromBytes(size_t{1} << setup[1] % 13)},
               frames)
      .Run(program);
}

}  // namespace mmsb
