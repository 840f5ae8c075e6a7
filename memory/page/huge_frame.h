#ifndef MMSB_MEMORY_PAGE_HUGE_FRAME_H_
#define MMSB_MEMORY_PAGE_HUGE_FRAME_H_

#include <algorithm>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>

#include "memory/page/frame_bits.h"
#include "memory/page/frame_counts.h"
#include "memory/page/frame_layout.h"

namespace mmsb {

// What came of asking a huge frame for a run.
struct FrameTaking {
  int offset = -1;           // of the run's first frame; -1: there was none
  uint64_t more = 0;         // further frames of the same word, as bits
  bool uncommitted = false;  // the taken run may have no memory
  bool undone = false;       // frames were hidden from others for a moment

  [[nodiscard]] constexpr bool taken() const { return offset >= 0; }
};

// The 512 frames of one huge frame: the protocol between its bitmap, 8 words
// with a bit a frame, set when the frame is allocated, and its counts of free
// frames a word (frame_counts.h). After the lower level of LLFree (Wrenger,
// Rommel, Halbuer, Dietrich and Lohmann, LLFree: Scalable and
// Optionally-Persistent Page-Frame Allocation, USENIX ATC 2023), with a count
// for each word in place of one for all, so that a run of 2, 4 or 8 words is
// one compare-exchange too, and nothing of several steps is ever undone.
//
// A view of atomics that are another's. Thread-safe. Offsets are frames from
// the huge frame's first one; orders are valid. Constant time, and lock-free.
//
//   HugeFrame<SystemSync> huge(&counts, words);
//   const FrameTaking taking = huge.Take(3);
//   if (taking.taken()) huge.Give(taking.offset, 3);
//
// Invariant, of each word: clear bits == its count + frames that a Take has
// subtracted and not yet marked + frames that a Give has cleared and not yet
// added. So who subtracts first may set a bit, and
//
//   - a Take of n single frames that has subtracted n finds n clear bits
//     whenever it looks: its loads are not older than the clearing of every
//     frame that was counted before (acquire of the counts), and those that
//     other Takes marked were subtracted by them. Its compare-exchange fails
//     only when another call changed the word.
//   - a Take of whole words that has changed their counts from 64 to 0 has them
//     alone: all their bits are clear, and counted, so there is no Take on its
//     way in them, and no Give of any allocated frame. It just stores.
//   - a Take of 2 to 32 frames of a word may, after it has subtracted, find
//     that others have broken up the last run. It adds the frames again. They
//     have succeeded, so the whole is lock-free; but meanwhile another Take may
//     have missed those frames. See `undone`.
//   - a Give of whole words clears them one by one. Until it adds their counts,
//     these are 0, so nobody sets a bit; and where a word turns out to be not
//     wholly allocated, which is a caller's mistake, it stores the cleared ones
//     back. Other mistaken Gives there are told "not allocated" meanwhile.
//
// Linearization: a Take where it subtracts for the last time, a Give where it
// adds. What was done to a frame before Give is visible to who takes it: by the
// word's compare-exchanges, or by the counts'.
template <class Sync>
class HugeFrame {
 public:
  using Word = typename Sync::template Atomic<uint64_t>;

  // What a Take of more than one single frame leaves free, at least.
  static constexpr size_t kLeft = 16;

  HugeFrame(Word* counts, Word* words) : counts_(counts), words_(words) {}

  // The counts, and everything that was done by who wrote them.
  [[nodiscard]] uint64_t Look() const {
    // acquire: pairs with the releases of the counts in this class.
    return counts_->load(std::memory_order_acquire);
  }

  // A free run of that order, of all there are one that leaves larger ones
  // whole: in the fullest word, beside what is allocated. Of order 0 up to
  // `most` single frames, as many as the word has and kLeft allows.
  [[nodiscard]] FrameTaking Take(int order, size_t most = 1) {
    return order < kWordOrder ? TakeFromFullest(order, most) : TakeWords(order);
  }

  // A free run of that order, below kWordOrder, in one word; of order 0 up to
  // `most`.
  [[nodiscard]] FrameTaking TakeInWord(int word, int order, size_t most = 1) {
    // relaxed: only compared, and 0 is believed: who must be sure has looked.
    uint64_t counts = counts_->load(std::memory_order_relaxed);
    uint64_t run = Wanted(counts, word, order, most);
    if (frame_counts::At(counts, word) < run) return {};
    Word& bits = words_[word];
    // relaxed: a guess, so that few have to undo.
    if (order != 0 &&
        FindRun(bits.load(std::memory_order_relaxed), order) < 0) {
      return {};
    }
    // acquire: pairs with the releases in Give and here, for bits that are
    // clear by now. release: pairs with the acquire in Look; a thread's earlier
    // calls are seen by who sees frames gone.
    while (!counts_->compare_exchange_weak(
        counts, counts - frame_counts::Of(word, run), std::memory_order_acq_rel,
        std::memory_order_relaxed)) {
      run = Wanted(counts, word, order, most);
      if (frame_counts::At(counts, word) < run) return {};
    }
    // relaxed: not older than the bits that were acquired with the counts.
    uint64_t allocated = bits.load(std::memory_order_relaxed);
    for (;;) {
      uint64_t mask = 0;
      if (order == 0) {
        mask = PickFrames(allocated, run);
      } else if (const int start = FindRun(allocated, order); start >= 0) {
        mask = RunMask(start, order);
      }
      if (mask == 0) {
        Add(frame_counts::Of(word, run));
        return {.undone = true};
      }
      // acquire: pairs with the release in GiveInWord, of who had the frames.
      if (bits.compare_exchange_weak(allocated, allocated | mask,
                                     std::memory_order_acquire,
                                     std::memory_order_relaxed)) {
        return {.offset = word * static_cast<int>(kFramesPerWord) +
                          std::countr_zero(mask),
                .more = order == 0 ? mask & (mask - 1) : 0,
                .uncommitted = (counts & frame_counts::kUncommitted) != 0};
      }
    }
  }

  // Gives back frames that are all allocated, whoever took them and as runs of
  // whatever order. False, and nothing changed, when one of them is free.
  [[nodiscard]] bool Give(size_t offset, int order) {
    const int word = static_cast<int>(offset / kFramesPerWord);
    if (order <= kWordOrder) {
      const uint64_t mask =
          RunMask(static_cast<int>(offset % kFramesPerWord), order);
      if (!GiveInWord(words_[word], mask)) return false;
      Add(frame_counts::Of(word, uint64_t{1} << order));
      return true;
    }
    const int words = 1 << (order - kWordOrder);
    for (int w = word; w < word + words; ++w) {
      // relaxed: the caller's frames; others' only by mistake.
      if (words_[w].load(std::memory_order_relaxed) != ~uint64_t{0}) {
        return false;
      }
    }
    for (int w = word; w < word + words; ++w) {
      if (GiveInWord(words_[w], ~uint64_t{0})) continue;
      while (w-- > word) {
        // relaxed: nobody may look at frames that are not counted.
        words_[w].store(~uint64_t{0}, std::memory_order_relaxed);
      }
      return false;
    }
    Add(frame_counts::WholeWords(word, words));
    return true;
  }

  // The same for the frames of one word whose bits are in `mask`.
  [[nodiscard]] bool GiveSingles(int word, uint64_t mask) {
    if (!GiveInWord(words_[word], mask)) return false;
    Add(frame_counts::Of(word, static_cast<uint64_t>(std::popcount(mask))));
    return true;
  }

  // Takes every frame if `free` are the counts, that is all are free and none
  // is on its way, without marking them: until Add(), nobody else has them.
  [[nodiscard]] bool Hide(uint64_t free) {
    // acquire: pairs with the releases here. release: as in TakeInWord.
    return counts_->compare_exchange_strong(free, 0, std::memory_order_acq_rel,
                                            std::memory_order_relaxed);
  }

  // Adds frames, which are the caller's and not marked, to the counts.
  void Add(uint64_t counts) {
    // release: pairs with the acquires here; publishes the cleared bits. Every
    // change is a read-modify-write, so that an acquire of a later value pairs
    // with this one too.
    counts_->fetch_add(counts, std::memory_order_release);
  }

  // Notes that there is memory. True when it was not noted before.
  [[nodiscard]] bool MarkCommitted() {
    // relaxed: only compared.
    uint64_t counts = counts_->load(std::memory_order_relaxed);
    while ((counts & frame_counts::kUncommitted) != 0) {
      // acq_rel: pairs with the acquire in TakeInWord; who sees no flag may
      // touch the memory.
      if (counts_->compare_exchange_weak(
              counts, counts & ~frame_counts::kUncommitted,
              std::memory_order_acq_rel, std::memory_order_relaxed)) {
        return true;
      }
    }
    return false;
  }

  // The frames of the run that are allocated, from its first one on, up to one
  // that is free; for messages.
  [[nodiscard]] size_t AllocatedPrefix(size_t offset, int order) const {
    const size_t frames = size_t{1} << order;
    size_t n = 0;
    while (n < frames) {
      const size_t at = offset + n;
      // relaxed: a look.
      const uint64_t allocated =
          words_[at / kFramesPerWord].load(std::memory_order_relaxed) >>
          (at % kFramesPerWord);
      if ((allocated & 1) == 0) break;
      ++n;
    }
    return n;
  }

 private:
  // How many frames to take of a word.
  static uint64_t Wanted(uint64_t counts, int word, int order, size_t most) {
    if (order != 0 || most == 1) return uint64_t{1} << order;
    const size_t total = frame_counts::Total(counts);
    const size_t spare = total > kLeft ? total - kLeft : 0;
    return std::max(std::min({most, frame_counts::At(counts, word), spare}),
                    size_t{1});
  }

  [[nodiscard]] FrameTaking TakeFromFullest(int order, size_t most) {
    const size_t run = size_t{1} << order;
    unsigned tried = 0;
    bool undone = false;
    for (;;) {
      const uint64_t counts = Look();
      int best = -1;
      for (int w = 0; w < kWordsPerHuge; ++w) {
        const size_t free = frame_counts::At(counts, w);
        if (free < run || (tried >> w & 1) != 0) continue;
        if (best < 0 || free < frame_counts::At(counts, best)) best = w;
      }
      if (best < 0) return {.undone = undone};
      FrameTaking taking = TakeInWord(best, order, most);
      undone |= taking.undone;
      taking.undone = undone;
      if (taking.taken()) return taking;
      tried |= 1u << best;
    }
  }

  [[nodiscard]] FrameTaking TakeWords(int order) {
    const int words = 1 << (order - kWordOrder);
    uint64_t counts = Look();
    for (;;) {
      uint64_t used = ~uint64_t{0xff};
      for (int w = 0; w < kWordsPerHuge; ++w) {
        if (frame_counts::At(counts, w) != kFramesPerWord) {
          used |= uint64_t{1} << w;
        }
      }
      const int word = FindRun(used, order - kWordOrder);
      if (word < 0) return {};
      // acquire, both: pair with the releases in Add. release: as in
      // TakeInWord.
      if (!counts_->compare_exchange_weak(
              counts, counts - frame_counts::WholeWords(word, words),
              std::memory_order_acq_rel, std::memory_order_acquire)) {
        continue;
      }
      for (int w = word; w < word + words; ++w) {
        // relaxed: who gives the frames back got them from here.
        words_[w].store(~uint64_t{0}, std::memory_order_relaxed);
      }
      return {.offset = word * static_cast<int>(kFramesPerWord),
              .uncommitted = (counts & frame_counts::kUncommitted) != 0};
    }
  }

  // Clears `mask` in a word where all of it is set.
  [[nodiscard]] static bool GiveInWord(Word& bits, uint64_t mask) {
    // relaxed: only compared; the caller's bits are as it left them.
    uint64_t allocated = bits.load(std::memory_order_relaxed);
    do {
      if ((allocated & mask) != mask) return false;
      // release: pairs with the acquire in TakeInWord; what was done to the
      // frames is seen by who takes them before they are counted.
    } while (!bits.compare_exchange_weak(allocated, allocated & ~mask,
                                         std::memory_order_release,
                                         std::memory_order_relaxed));
    return true;
  }

  Word* counts_;
  Word* words_;
};

}  // namespace mmsb

#endif  // MMSB_MEMORY_PAGE_HUGE_FRAME_H_
