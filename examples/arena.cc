// What a request needs, from an arena: taken piece by piece, given back at
// once, and the same memory serves the next request.
//
//   ./bazelw run //examples:arena

#include "mmsb/arena.h"

#include <cstddef>
#include <cstdio>
#include <cstring>
#include <numeric>

namespace {

// Joins the words into one text in the arena; null when memory ends.
char* Join(mmsb::Arena<>& arena, const char* const* words, size_t count) {
  size_t bytes = 1;
  for (size_t i = 0; i < count; ++i) bytes += std::strlen(words[i]) + 1;
  char* const text = arena.AllocateArray<char>(bytes);
  if (text == nullptr) return nullptr;
  char* at = text;
  for (size_t i = 0; i < count; ++i) {
    at = static_cast<char*>(std::memcpy(at, words[i], std::strlen(words[i]))) +
         std::strlen(words[i]);
    *at++ = i + 1 < count ? ' ' : '.';
  }
  *at = '\0';
  return text;
}

// The sum of the first squares; its list is gone when it returns.
long SumOfSquares(mmsb::Arena<>& arena, size_t count) {
  const auto start = arena.Mark();
  long* const squares = arena.AllocateArray<long>(count);
  if (squares == nullptr) return -1;
  for (size_t i = 0; i < count; ++i) squares[i] = static_cast<long>(i * i);
  const long sum = std::accumulate(squares, squares + count, 0L);
  arena.Rewind(start);
  return sum;
}

}  // namespace

int main() {
  mmsb::Arena arena({.max_bytes = size_t{16} << 20});  // at most 16 MiB

  size_t held = 0;
  for (int request = 1; request <= 3; ++request) {
    const char* const words[] = {"an", "arena", "serves", "a", "request"};
    const char* const text = Join(arena, words, 5);
    const long sum = SumOfSquares(arena, 10000);
    if (text == nullptr || sum != 333283335000) return 1;
    std::printf("%s %ld; live: %zu bytes\n", text, sum, arena.Stats().live());
    arena.Reset();  // the text is gone; the largest chunk stays

    // From the second request on, nothing is taken from the system.
    const size_t now = arena.Stats().committed();
    if (request > 1 && now != held) return 1;
    held = now;
  }
  std::printf("held: %zu bytes\n", held);
  return arena.Stats().live() == 0 ? 0 : 1;
}
