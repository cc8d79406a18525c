# The long part of ./check, which sources this: sanitizers, fuzzers, references.
# shellcheck shell=bash disable=SC2154

# preset NAME: configures and builds a preset in its own folder.
build_preset() {
  local name="$1"
  local -a paths=()
  [[ -z "${EXTROSPECT_LIBTORCH:-}" ]] || paths+=(-DEXTROSPECT_LIBTORCH="$EXTROSPECT_LIBTORCH")
  [[ -z "${EXTROSPECT_DEPS:-}" ]] || paths+=(-DEXTROSPECT_DEPS="$EXTROSPECT_DEPS")
  if command -v ccache > /dev/null; then paths+=(-DCMAKE_CXX_COMPILER_LAUNCHER=ccache); fi
  (cd "$ROOT" && cmake --preset "$name" "${paths[@]}") && shift && ninja -C "$ROOT/build-$name" "$@"
}

run_sanitized_tests() {
  say "Building and running the tests under the sanitizers"
  count build-sanitize build_preset sanitize all
  if [[ -f "$ROOT/build-sanitize/build.ninja" ]]; then
    # libtorch and HDF5 keep memory until the end, which is no fault of theirs or ours.
    ASAN_OPTIONS=detect_leaks=0 UBSAN_OPTIONS=print_stacktrace=1 run_tests "$ROOT/build-sanitize"
  fi
}

# Each fuzzer for a minute, from the fixtures of its format and from what earlier runs found.
run_fuzzers() {
  local source name corpus folder failed_before="$failed"
  local -a seeds
  say "Building and running the fuzzers, a minute each"
  count build-fuzz build_preset fuzz tests/fuzz/all
  (( failed == failed_before )) || return 0
  for source in "$ROOT"/tests/fuzz/*_fuzz.cc; do
    name="$(basename "$source" .cc)"
    corpus="$CACHE/fuzz/$name"
    mkdir -p "$corpus" "$CACHE/fuzz/found"
    seeds=()
    if [[ "$name" == transcripts_fuzz ]]; then
      head -n 3 "$ROOT/datasets/emotions/transcripts.jsonl" > "$corpus/dataset"
    fi
    for folder in "$ROOT"/tests/{parity/fixtures,fuzz/seeds}/"${name%_fuzz}"; do
      [[ ! -d "$folder" ]] || seeds+=("$folder")
    done
    count "$name" env ASAN_OPTIONS=detect_leaks=0 "$ROOT/build-fuzz/tests/fuzz/$name" \
      -max_total_time=60 -timeout=20 -rss_limit_mb=4096 -max_len=65536 \
      -artifact_prefix="$CACHE/fuzz/found/$name-" "$corpus" "${seeds[@]}"
  done
}

# The fixtures made anew by their scripts, in a copy of the sources, and compared with those that
# are kept: what the tests hold the program to is still what the references say.
check_fixtures() {
  local copy="$CACHE/fixtures-anew" python="$CACHE/venv/bin/python" script name
  local -a arguments
  say "Making the fixtures anew with the reference implementations"
  # The references need torch for Python, which a libtorch of the user's own does not bring.
  if ! env -u EXTROSPECT_LIBTORCH "$ROOT/tools/setup" --no-build ||
      ! logged references "$python" -m pip --no-input install \
        --requirement "$ROOT/tools/fixtures/requirements.txt"; then
    say "FAILED: the reference implementations could not be installed"
    failed=$((failed + 1))
    return 0
  fi
  for script in "$ROOT"/tools/fixtures/make_*.py; do
    name="$(basename "$script" .py)"
    arguments=()
    case "$name" in
      make_smollm2*) arguments=("$EXTROSPECT_TEST_MODEL") ;;
      make_gemma3_270m)  # a model that not everyone has
        if [[ -z "${EXTROSPECT_TEST_GEMMA:-}" ]]; then skipped=$((skipped + 1)); continue; fi
        arguments=("$EXTROSPECT_TEST_GEMMA") ;;
      make_mistral_tokens) continue ;;  # its fixtures are too large to be kept
    esac
    rm -rf "$copy"
    mkdir -p "$copy"
    (cd "$ROOT" && cp -R --parents tools/fixtures tests/parity/fixtures "$copy")
    count "$name" bash -c '
      "$1" "$2/tools/fixtures/$3.py" "${@:5}" &&
        "$1" "$4/tools/fixtures/compare.py" "$4/tests/parity/fixtures" "$2/tests/parity/fixtures"' \
      bash "$python" "$copy" "$name" "$ROOT" "${arguments[@]}"
  done
}

# Adapters that the program wrote, in the library whose format they have, and the other way round;
# with the Python of check_fixtures.
check_peft() {
  say "Exchanging adapters with peft"
  count peft-python "$CACHE/venv/bin/python" "$ROOT/tests/e2e/peft_python_test" "$ROOT/build"
}

run_sanitized_tests
run_fuzzers
check_fixtures
check_peft
