# Sourced by scripts/setup, test, lint and demo: steps with elapsed time, errors that name the remedy.
#
#   . "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
#   step "Build release"            # "[   3.1 s] Build release"; the time is that since the outermost script began
#   note "42 files"                 # an indented line below the step
#   done_step ["what came of it"]   # "           done in 12.4 s: what came of it"
#   quietly LOG COMMAND...          # runs it with its output in LOG; on failure prints the end of LOG, keeps the exit code
#   retry 3 COMMAND...              # tries again after 5, then 15 s: for what needs the network
#   die "what failed, with the number" "what to do next"    # to stderr, exit 1
#   elapsed                         # seconds since the outermost script began, "73.2"
#   find_nvcc                       # sets nvcc_path ("" if there is none), nvcc_version and with_cuda (1 or 0)
#   build_jobs                      # how many compilers may run at once, by cores and memory
#
# Sets `root`, the root of the repository, and changes nothing else: no cd, no traps. Needs bash 4.4 and coreutils.

set -euo pipefail
root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"

# Microseconds; bash 4 (RHEL 8) has no EPOCHREALTIME. A script called by another one goes on counting from where the first began.
now_us() {
  local t=${EPOCHREALTIME:-$(date +%s%6N)}
  printf '%s' "${t//[.,]/}"
}
export PEAKNET_STEPS_BEGAN=${PEAKNET_STEPS_BEGAN:-$(now_us)}
step_began=$PEAKNET_STEPS_BEGAN

seconds_since() {
  local tenths=$((($(now_us) - $1) / 100000))
  printf '%d.%d' $((tenths / 10)) $((tenths % 10))
}
elapsed() { seconds_since "$PEAKNET_STEPS_BEGAN"; }

step() {
  step_began=$(now_us)
  printf '[%6s s] %s\n' "$(elapsed)" "$*"
}
note() { printf '           %s\n' "$*"; }
done_step() { note "done in $(seconds_since "$step_began") s${1:+: $1}"; }

die() {
  printf '\nFAILED: %s\n' "$1" >&2
  if [ -n "${2:-}" ]; then printf 'Next:   %s\n' "$2" >&2; fi
  exit 1
}

quietly() {
  local log=$1 status=0
  shift
  mkdir -p "$(dirname "$log")"
  "$@" >"$log" 2>&1 </dev/null || status=$?
  if [ "$status" != 0 ]; then
    printf -- '--- the end of %s\n' "$log" >&2
    tail -n 40 "$log" >&2
    printf -- '---\n' >&2
  fi
  return "$status"
}

retry() {
  local tries=$1 try=1 pause=5
  shift
  until "$@"; do
    if [ "$try" -ge "$tries" ]; then return 1; fi
    note "try $try of $tries failed, again in $pause s"
    sleep "$pause"
    try=$((try + 1))
    pause=$((pause * 3))
  done
}

# The same rule as cmake/PeaknetCuda.cmake: CUDACXX or the first nvcc on PATH, 12.6 or later.
find_nvcc() {
  nvcc_path=${CUDACXX:-$(command -v nvcc || true)}
  nvcc_version=0
  with_cuda=0
  if [ -n "$nvcc_path" ]; then
    nvcc_version=$("$nvcc_path" --version 2>/dev/null | sed -n 's/.*release \([0-9.]*\).*/\1/p' || true)
    nvcc_version=${nvcc_version:-0}
    if [ "$(printf '12.6\n%s\n' "$nvcc_version" | sort -V | head -n 1)" = 12.6 ]; then with_cuda=1; fi
  fi
}

# A compiler takes up to 1.5 GB; those that include torch are held back further by CMake's job pool.
build_jobs() {
  local cores memory_kib jobs
  cores=$(nproc)
  memory_kib=$(sed -n 's/^MemAvailable: *\([0-9]*\).*/\1/p' /proc/meminfo)
  jobs=$((memory_kib / 1572864))
  if [ "$jobs" -gt "$cores" ]; then jobs=$cores; fi
  if [ "$jobs" -lt 1 ]; then jobs=1; fi
  printf '%d' "$jobs"
}
