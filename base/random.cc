#include "base/random.h"

#include <cmath>
#include <numbers>

namespace extrospect {
namespace {

uint64_t Mix(uint64_t z) {
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return z ^ (z >> 31);
}

}  // namespace

RandomStream::RandomStream(uint64_t seed, std::string_view name) : state_(Mix(seed + 1)) {
  // FNV-1a over the name, mixed with the seed.
  uint64_t hash = 0xcbf29ce484222325u;
  for (const char c : name) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3u;
  state_ = Mix(state_ ^ hash);
}

uint64_t RandomStream::Next() { return Mix(state_ += 0x9e3779b97f4a7c15u); }

double RandomStream::Uniform() { return static_cast<double>(Next() >> 11) * 0x1.0p-53; }

uint64_t RandomStream::Below(uint64_t n) {
  // The high half of a 128-bit product: uniform to within n / 2^64.
  return static_cast<uint64_t>((static_cast<unsigned __int128>(Next()) * n) >> 64);
}

double RandomStream::Normal() {
  // Box–Muller; the second value is thrown away, so that the state is the counter alone.
  const double radius = std::sqrt(-2.0 * std::log(1.0 - Uniform()));
  return radius * std::cos(2.0 * std::numbers::pi * Uniform());
}

std::vector<int64_t> RandomStream::Permutation(int64_t n) {
  std::vector<int64_t> order(n);
  std::iota(order.begin(), order.end(), 0);
  for (int64_t i = n - 1; i > 0; --i) {
    std::swap(order[i], order[Below(static_cast<uint64_t>(i) + 1)]);
  }
  return order;
}

}  // namespace extrospect
