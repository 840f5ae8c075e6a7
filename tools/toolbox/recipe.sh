# What the toolbox is made of. Its identity is a hash of the first part, so a change
# there builds a new root beside the old one.

# Raised when the way of building changes what is built.
readonly kRecipeRevision=1
readonly kSuite=forky

readonly kPackages=(
  bazel-bootstrap bazel-platforms bazel-rules-cc bazel-rules-license
  bazel-rules-python bazel-rules-shell bazel-skylib
  clang-21 clang-format-21 clang-tidy-21 libc++-21-dev libc++abi-21-dev
  libclang-rt-21-dev lld-21 llvm-21 g++ gcc
  ca-certificates curl git python3 wget
)

# Source archives, as `sha256 name pool-path upstream-url`: the mirror's orig tarball is
# bit for bit the upstream one, and Bazel looks it up by the base name of its URL.
readonly kGithub=https://github.com
readonly kArchives=(
  "6e1aee535473414164bf83e4ebc40240dec71a4701f8a642d906e95bea1aea0c abseil-cpp-20260526.0.tar.gz pool/main/a/abseil/abseil_20260526.0.orig.tar.gz $kGithub/abseil/abseil-cpp/releases/download/20260526.0/abseil-cpp-20260526.0.tar.gz"
  "b9cf3c3d06dbae3eeca671e2a3ea33f3749e23eaa1389cd92c9d0a575e146128 googletest-1.18.0.tar.gz pool/main/g/googletest/googletest_1.18.0.orig.tar.gz $kGithub/google/googletest/releases/download/v1.18.0/googletest-1.18.0.tar.gz"
  "07b3c1ba2c1096878a85a31a5b9b3757427af963b1141ca904db2f9f4afe0bc2 highway-1.3.0.tar.gz pool/main/h/highway/highway_1.3.0.orig.tar.gz $kGithub/google/highway/releases/download/1.3.0/highway-1.3.0.tar.gz"
  "32131c08ee31eeff2c8968d7e874f3cb648034377dfc32a4c377fa8796d84981 v1.9.1.tar.gz pool/main/b/benchmark/benchmark_1.9.1.orig.tar.gz $kGithub/google/benchmark/archive/refs/tags/v1.9.1.tar.gz"
)

# --- not part of the identity from here on

readonly kNeededMiB=3500
readonly kKeyring=${MMSB_DEBIAN_KEYRING:-/usr/share/keyrings/debian-archive-keyring.gpg}

# Add-ons: what only some need. msan also builds a libc++ (add_msan.sh).
readonly kAddons=(msan valgrind bench aarch64 remote afl)
readonly kPackages_msan=(cmake ninja-build)
readonly kPackages_valgrind=(libc6-dbg valgrind)
readonly kPackages_bench=(
  borgbackup libboost-dev libgoogle-perftools-dev libjemalloc-dev liblmdb-dev
  libmimalloc-dev libsqlite3-dev python3-matplotlib xdelta3
)
readonly kPackages_aarch64=(g++-aarch64-linux-gnu libc6-dev-arm64-cross libstdc++-16-dev-arm64-cross qemu-user)
readonly kPackages_remote=(buildbox python3-grpcio)
readonly kPackages_afl=(afl++)

recipe_id() {
  local hash
  hash=$(printf '%s\n' "$kRecipeRevision" "$kSuite" "${kPackages[@]}" "${kArchives[@]}" | sha256sum)
  printf '%s' "${hash:0:12}"
}

toolbox=$toolboxes/$(recipe_id)
