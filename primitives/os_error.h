#ifndef MMSB_PRIMITIVES_OS_ERROR_H_
#define MMSB_PRIMITIVES_OS_ERROR_H_

#include <cstddef>

namespace mmsb {

// What a call to the operating system came to: success, or which operation
// failed and with which errno.
//
// A value type that owns nothing; a result that nobody looks at is a compiler
// warning. Describe() is thread-safe and allocates nothing.
//
//   OsError error = mapper.Commit(address, bytes);
//   char text[OsError::kTextBytes];
//   if (!error.ok()) Die("%s", error.Describe(text, sizeof(text)));
class [[nodiscard]] OsError {
 public:
  // Bytes that hold any text of Describe() for the operations of this layer.
  static constexpr size_t kTextBytes = 128;

  // Success.
  constexpr OsError() = default;

  // `operation` names the call, for people, and outlives this object: a string
  // literal. `code` is an errno, not 0.
  constexpr OsError(const char* operation, int code)
      : operation_(operation), code_(code) {}

  [[nodiscard]] constexpr bool ok() const { return code_ == 0; }

  // The errno; 0 for success.
  [[nodiscard]] constexpr int code() const { return code_; }

  // What failed; "" for success.
  [[nodiscard]] constexpr const char* operation() const { return operation_; }

  // Writes "OPERATION: the system's text (errno N)", or "success", to `buffer`,
  // cut to its `bytes` bytes (at least 1) with the ending null, and returns
  // `buffer`.
  const char* Describe(char* buffer, size_t bytes) const;

 private:
  const char* operation_ = "";
  int code_ = 0;
};

}  // namespace mmsb

#endif  // MMSB_PRIMITIVES_OS_ERROR_H_
