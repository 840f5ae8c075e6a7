#ifndef MMSB_FUZZ_DAMAGED_STORE_H_
#define MMSB_FUZZ_DAMAGED_STORE_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "memory/log/faulty_file_system.h"

namespace mmsb {

// A store of a few epochs, and the files that it lies in, to be damaged.
//
// Copies files that were made once in the process; their contents differ from
// one process to the next, because a store's id is random. Thread-compatible.
//
//   DamagedStore store(1);
//   store.Flip(/*file=*/1, 100, 0x80);
//   FaultyFileSystem disk;
//   store.WriteTo(disk);  // in the directory kPath
class DamagedStore {
 public:
  using Bytes = std::vector<std::byte>;

  static constexpr char kPath[] = "store";

  // Of `number`, modulo kStores, which say how many epochs there are, how many
  // checkpoints, and in how many segments the log is.
  explicit DamagedStore(uint64_t number);
  static constexpr size_t kStores = 6;

  // The state of each epoch, before any damage.
  [[nodiscard]] const std::vector<Bytes>& epochs() const { return *epochs_; }

  // File `file`, modulo, of the store's; positions in it are modulo too.
  void Flip(uint64_t file, uint64_t position, uint8_t bits);
  // Cuts the file off, `bytes` from its end.
  void Cut(uint64_t file, uint64_t bytes);
  void Append(uint64_t file, uint64_t bytes, uint8_t value);
  // Overwrites `bytes` bytes with zeros.
  void Zero(uint64_t file, uint64_t position, uint64_t bytes);
  // Copies `bytes` bytes of the file to another position.
  void Move(uint64_t file, uint64_t from, uint64_t to, uint64_t bytes);
  // Flips, and makes the checksums true that the flip belies (ForgeFlip).
  void Forge(uint64_t file, uint64_t position, uint8_t bits);
  void Remove(uint64_t file);
  // Nothing but `contents`.
  void Replace(uint64_t file, Bytes contents);

  // Whether a byte is not as it was, or gone, in a file whose name begins so.
  // What was appended does not count.
  [[nodiscard]] bool Differs(std::string_view prefix) const;

  void WriteTo(FaultyFileSystem& disk) const;

 private:
  using Files = std::map<std::string, Bytes>;

  // The end when all were removed.
  Files::iterator Find(uint64_t file);
  // Null when it was removed.
  Bytes* File(uint64_t file);

  const std::vector<Bytes>* epochs_;
  uint64_t salt_;  // of the checksums in the log
  const Files* made_;
  Files files_;
};

}  // namespace mmsb

#endif  // MMSB_FUZZ_DAMAGED_STORE_H_
