#include "primitives/check.h"

#include <cstdarg>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace mmsb {
namespace {

// Text of bounded length that is cut with "..." where it would not fit.
class Message {
 public:
  [[gnu::format(printf, 2, 0)]] void AppendV(const char* format,
                                             va_list arguments) {
    const size_t room = kCapacity - used_;
    const int wanted = std::vsnprintf(text_ + used_, room, format, arguments);
    if (wanted < 0) {  // An argument that cannot be encoded: show the format.
      AppendText(format);
    } else if (static_cast<size_t>(wanted) >= room) {
      Cut();
    } else {
      used_ += static_cast<size_t>(wanted);
    }
  }

  [[gnu::format(printf, 2, 3)]] void Append(const char* format, ...) {
    va_list arguments;
    va_start(arguments, format);
    AppendV(format, arguments);
    va_end(arguments);
  }

  [[noreturn]] void WriteAndAbort() {
    text_[used_] = '\n';
    // Nothing can be done about a standard error that takes no text, and the
    // abort says the rest.
    static_cast<void>(std::fwrite(text_, 1, used_ + 1, stderr));
    static_cast<void>(std::fflush(stderr));
    std::abort();
  }

 private:
  static constexpr size_t kCapacity = 1024;

  void AppendText(const char* text) {
    const size_t length = std::strlen(text);
    const size_t room = kCapacity - 1 - used_;
    const size_t taken = length < room ? length : room;
    std::memcpy(text_ + used_, text, taken);
    used_ += taken;
    if (taken < length) Cut();
  }

  void Cut() {
    used_ = kCapacity - 1;
    std::memcpy(text_ + used_ - 3, "...", 3);
  }

  char text_[kCapacity];
  size_t used_ = 0;  // Always less than kCapacity: the newline has a place.
};

}  // namespace

void Die(const char* format, ...) {
  Message message;
  va_list arguments;
  va_start(arguments, format);
  message.AppendV(format, arguments);
  va_end(arguments);
  message.WriteAndAbort();
}

namespace check_internal {

void CheckFailed(const char* file, int line, const char* condition,
                 const char* format, ...) {
  Message message;
  message.Append("%s:%d: ", file, line);
  va_list arguments;
  va_start(arguments, format);
  message.AppendV(format, arguments);
  va_end(arguments);
  message.Append(" (check failed: %s)", condition);
  message.WriteAndAbort();
}

}  // namespace check_internal
}  // namespace mmsb
