# Flags live on one interface target; nothing global but the standard and the launcher.
set(CMAKE_CXX_STANDARD 23)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_C_STANDARD 11)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(THREADS_PREFER_PTHREAD_FLAG ON)
find_package(Threads REQUIRED)
find_package(PkgConfig REQUIRED)

find_program(CCACHE ccache)
if(CCACHE)
    set(CMAKE_C_COMPILER_LAUNCHER ${CCACHE})
    set(CMAKE_CXX_COMPILER_LAUNCHER ${CCACHE})
endif()

# address is for the unit tests and the fuzz targets, which share their libraries; coverage is for long runs of the latter.
set(BRIM_SANITIZE "" CACHE STRING "address (and undefined, clang only), thread, coverage (undefined by trap, clang only) or empty")
add_library(brim_flags INTERFACE)
target_compile_options(brim_flags INTERFACE
    -Wall -Wextra -Werror
    $<$<COMPILE_LANGUAGE:CXX>:-Wnon-virtual-dtor -Wold-style-cast>
    # g++ 12 sees uninitialised members in moved std::variants at -O2 that are not there.
    $<$<CXX_COMPILER_ID:GNU>:-Wno-maybe-uninitialized>
    # libstdc++ 12's own std::stable_sort, as clang sees it.
    $<$<CXX_COMPILER_ID:Clang>:-Wno-deprecated-declarations>
    -fno-omit-frame-pointer -fstack-protector-strong)
# The presets with sanitizers compile eight files of a target as one, in about half the time: what files of one target keep in
# unnamed namespaces must not share a name. dev and release compile each file alone, and see there whether it includes what it needs.
if(CMAKE_UNITY_BUILD)
    # g++ takes every file of a unit but the unit itself for a header, where a type with unnamed parts is a mistake.
    target_compile_options(brim_flags INTERFACE $<$<CXX_COMPILER_ID:GNU>:-Wno-subobject-linkage>)
else()
    target_compile_options(brim_flags INTERFACE -Wshadow)
endif()
if(BRIM_SANITIZE STREQUAL "thread")
    target_compile_options(brim_flags INTERFACE -fsanitize=thread)
    target_link_options(brim_flags INTERFACE -fsanitize=thread)
elseif(BRIM_SANITIZE)
    if(BRIM_SANITIZE STREQUAL "coverage")
        set(BRIM_CHECKS -fsanitize=undefined -fsanitize-trap=undefined)
    else()
        set(BRIM_CHECKS -fsanitize=address,undefined -fno-sanitize-recover=all)
    endif()
    target_compile_options(brim_flags INTERFACE -fsanitize=fuzzer-no-link ${BRIM_CHECKS})
    # The runtime of these has what coverage needs where libFuzzer's is not linked: in the tests and the programs.
    target_link_options(brim_flags INTERFACE ${BRIM_CHECKS})
    target_compile_definitions(brim_flags INTERFACE _GLIBCXX_ASSERTIONS)
endif()
if(BRIM_SANITIZE)
    # For what their allocators make meaningless; compilers do not agree on a name of their own.
    target_compile_definitions(brim_flags INTERFACE BRIM_SANITIZED)
endif()
find_program(MOLD mold)
if(MOLD AND NOT BRIM_SANITIZE STREQUAL "coverage")
    target_link_options(brim_flags INTERFACE -fuse-ld=mold)
endif()

# Debian 12's packages; each library is used by few source files (see ARCHITECTURE.md).
find_package(OpenSSL REQUIRED)
find_package(simdjson REQUIRED)
find_package(fmt REQUIRED)
find_package(tomlplusplus REQUIRED)
find_package(CURL REQUIRED)
find_package(rapidcheck REQUIRED)
pkg_check_modules(ARGON2 REQUIRED IMPORTED_TARGET libargon2)
pkg_check_modules(SQLITE3 REQUIRED IMPORTED_TARGET sqlite3)
pkg_check_modules(RE2 REQUIRED IMPORTED_TARGET re2)
