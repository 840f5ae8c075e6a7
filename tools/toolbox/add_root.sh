# usage: add_root.sh ROOT MIRROR NAME   (run by progress.sh, in its namespaces)
# Adds NAME to a whole ROOT. An interrupted run is completed by running it again.
set -eEuo pipefail
root=$1 mirror=$2 name=$3
tools=$(dirname -- "${BASH_SOURCE[0]}")
toolboxes=
. "$tools/say.sh"
. "$tools/recipe.sh"
. "$tools/root_apt.sh"
trap 'fail "line $LINENO of add_root.sh failed ($(last_words))"' ERR

# MSan reports falsely about a C++ library that it did not instrument, so one is built
# from the source of the compiler that is there, checked by the mirror's signed index.
readonly kPrefix=/opt/msan-libcxx
readonly kWork=/opt/msan-build

fetch_llvm_source() {
  local version uri sum
  # shellcheck disable=SC2016  # dpkg-query fills this in
  version=$(in_root dpkg-query -W -f '${source:Version}' clang-21)
  printf 'deb-src %s %s main\n' "$mirror" "$kSuite" >"$root/etc/apt/sources.list.d/mmsb-source.list"
  apt update
  read -r uri sum < <(in_root apt-get --print-uris --download-only source "llvm-toolchain-21=$version" |
    sed -n "s/^'\([^']*\.orig\.tar\.xz\)' .* SHA256:\([0-9a-f]*\)\$/\1 \2/p") || true
  rm "$root/etc/apt/sources.list.d/mmsb-source.list"
  [[ -n $uri ]] ||
    fail "the mirror has no source of llvm-toolchain-21 $version: set MMSB_DEBIAN_MIRROR to another mirror, or ./bazelw toolbox clean and a new run make the toolbox afresh"
  mkdir -p "$root$kWork"
  in_root apt-helper download-file "$uri" "$kWork/llvm.tar.xz" "SHA256:$sum" ||
    fail "$uri cannot be fetched as its index describes it ($(last_words)): run again, or set MMSB_DEBIAN_MIRROR to another mirror"
}

unpack_llvm_source() {
  local part parts=()
  for part in llvm/cmake llvm/utils cmake runtimes libcxx libcxxabi libunwind libc third-party; do
    parts+=("*/$part/*")
  done
  in_root tar --extract --file "$kWork/llvm.tar.xz" --directory "$kWork" \
    --strip-components=1 --wildcards --no-wildcards-match-slash --no-anchored "${parts[@]}"
}

build_libcxx() {
  in_root cmake -G Ninja -S "$kWork/runtimes" -B "$kWork/out" \
    -DCMAKE_BUILD_TYPE=Release -DCMAKE_INSTALL_PREFIX="$kPrefix" \
    -DCMAKE_C_COMPILER=clang-21 -DCMAKE_CXX_COMPILER=clang++-21 -DLLVM_USE_LINKER=lld-21 \
    -DLLVM_ENABLE_RUNTIMES='libcxx;libcxxabi' -DLLVM_USE_SANITIZER=MemoryWithOrigins \
    -DLIBCXXABI_USE_LLVM_UNWINDER=OFF -DLIBCXX_INCLUDE_BENCHMARKS=OFF \
    -DLIBCXX_INCLUDE_TESTS=OFF -DLIBCXXABI_INCLUDE_TESTS=OFF -DLLVM_INCLUDE_TESTS=OFF
  in_root ninja -C "$kWork/out" cxx cxxabi
  in_root env DESTDIR="$kWork/stage" ninja -C "$kWork/out" install-cxx install-cxxabi
  rm -rf "$root$kPrefix"
  mv "$root$kWork/stage$kPrefix" "$root$kPrefix"
}

add_msan() {
  rm -rf "$root$kWork"
  step "[3/5] source of libc++"
  fetch_llvm_source
  step "[4/5] unpacking it"
  unpack_llvm_source
  step "[5/5] building it with MSan"
  build_libcxx
  rm -rf "$root$kWork"
}

# Completes what an interrupted run left. What dpkg was unpacking when it was killed has
# to be unpacked again, before what needs it can be configured.
mend_packages() {
  in_root dpkg --configure -a || true
  local halves
  # shellcheck disable=SC2016  # dpkg-query fills these in
  mapfile -t halves < <(in_root dpkg-query -W -f '${db:Status-Eflag} ${Package}:${Architecture}\n' | sed -n 's/^reinstreq //p')
  apt install --fix-broken --reinstall "${halves[@]}"
  in_root dpkg --configure -a || fail "dpkg cannot complete what was interrupted ($(last_words)): ./bazelw toolbox clean and a new run make the toolbox afresh"
}

# One function, read whole before it runs: the file may be replaced meanwhile.
add_root() {
  local steps=2
  [[ $name != msan ]] || steps=5
  step "[1/$steps] package lists"
  prepare_root
  printf 'deb %s %s main\n' "$mirror" "$kSuite" >"$root/etc/apt/sources.list"
  apt update
  mend_packages
  step "[2/$steps] packages"
  local -n packages=kPackages_$name
  apt install "${packages[@]}"
  [[ $name != msan ]] || add_msan
  apt clean
  rm -rf "$root"/var/lib/apt/lists/*
  sync -f "$root"
}

add_root
exit
