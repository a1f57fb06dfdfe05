# Sourced by ./build and ./engram: sets JAVA_HOME to a JDK >= 25, or returns 1 after one line
# that says what to install. Reads each JDK's `release` file, which is much quicker than starting it.

engram_jdk_major() { # DIR -> prints the major version of the JDK in DIR, nothing if there is none
  [ -x "$1/bin/java" ] && [ -x "$1/bin/javac" ] && [ -r "$1/release" ] || return 0
  sed -n 's/^JAVA_VERSION="\([0-9]*\).*/\1/p' "$1/release"
}

engram_find_jdk() {
  _path_java=$(command -v java 2>/dev/null || true)
  _path_home=
  if [ -n "$_path_java" ]; then
    # the first java on PATH may be a chain of links; its real place is JDK/bin/java
    _real=$(readlink -f "$_path_java" 2>/dev/null || echo "$_path_java")
    _path_home=$(dirname "$(dirname "$_real")")
  fi
  _best= _best_major=0
  for _dir in "${JAVA_HOME:-}" "$_path_home"; do
    [ -n "$_dir" ] || continue
    _major=$(engram_jdk_major "$_dir")
    [ "${_major:-0}" -ge 25 ] && { JAVA_HOME=$_dir; export JAVA_HOME; return 0; }
  done
  for _dir in /usr/lib/jvm/* /usr/java/* /opt/java/* /opt/jdk* \
      /Library/Java/JavaVirtualMachines/*/Contents/Home "${HOME:-}"/Library/Java/JavaVirtualMachines/*/Contents/Home \
      /opt/homebrew/opt/openjdk*/libexec/openjdk.jdk/Contents/Home "${HOME:-}"/.sdkman/candidates/java/* \
      "${HOME:-}"/.jdks/* "${HOME:-}"/.asdf/installs/java/*; do
    _major=$(engram_jdk_major "$_dir")
    # the lowest that fits: the one most likely to be a long-term release
    if [ "${_major:-0}" -ge 25 ] && { [ "$_best_major" -eq 0 ] || [ "$_major" -lt "$_best_major" ]; }; then
      _best=$_dir _best_major=$_major
    fi
  done
  if [ -z "$_best" ]; then
    echo "error: Engram4J needs a JDK 25 or newer and found none; install one (for example Temurin 25, or 'sdk install java 25-tem') or set JAVA_HOME to it" >&2
    return 1
  fi
  JAVA_HOME=$_best
  export JAVA_HOME
}
