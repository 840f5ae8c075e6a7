#ifndef MMSB_MEMORY_STORE_TESTING_FORGED_FLIP_H_
#define MMSB_MEMORY_STORE_TESTING_FORGED_FLIP_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace mmsb {

// Flips `bits` of the byte at `position` of a file of a store, called `name`,
// and then makes true what says that the file is as it was written: the
// checksums of the header, of the tip's slot or of the record's head, meta and
// data, and the links of the records behind it. As no damage does, but who
// wants to do harm. The sizes and the places that a record names, and the
// checksums of pages, stay what they are.
//
// `salt` is StoreHeader::salt() of the store. Linear in the file.
void ForgeFlip(std::string_view name, std::span<std::byte> file, uint64_t salt,
               size_t position, std::byte bits);

}  // namespace mmsb

#endif  // MMSB_MEMORY_STORE_TESTING_FORGED_FLIP_H_
