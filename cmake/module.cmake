# brim_module(NAME DEPS a b LIBS x y): the library brim::NAME from src/NAME/{.,internal,sim,api}/*.cpp, and its tests
# from tests/*_test.cpp. DEPS are Brim modules (public), LIBS are system libraries (private).
function(brim_module name)
    cmake_parse_arguments(ARG "" "" "DEPS;LIBS" ${ARGN})
    file(GLOB sources CONFIGURE_DEPENDS *.cpp internal/*.cpp sim/*.cpp api/*.cpp)
    list(FILTER sources EXCLUDE REGEX "/main\\.cpp$")
    add_library(brim_${name} STATIC ${sources})
    add_library(brim::${name} ALIAS brim_${name})
    target_include_directories(brim_${name} PUBLIC ${CMAKE_SOURCE_DIR}/src)
    target_link_libraries(brim_${name} PUBLIC brim_flags PRIVATE ${ARG_LIBS})
    foreach(dep ${ARG_DEPS})
        target_link_libraries(brim_${name} PUBLIC brim::${dep})
    endforeach()
    file(GLOB tests CONFIGURE_DEPENDS tests/*_test.cpp)
    if(tests AND NOT BRIM_SANITIZE STREQUAL "coverage")
        brim_test(${name}_tests SOURCES ${tests} LIBS brim::${name})
    endif()
endfunction()

# doctest itself and main(), once for all test programs.
if(NOT BRIM_SANITIZE STREQUAL "coverage")
    add_library(brim_test_main OBJECT ${CMAKE_SOURCE_DIR}/tests/support/doctest_main.cpp)
    target_link_libraries(brim_test_main PRIVATE brim_flags)
endif()

# brim_test(NAME SOURCES a.cpp LIBS brim::x): one doctest program, known to CTest under its name.
function(brim_test name)
    cmake_parse_arguments(ARG "" "" "SOURCES;LIBS" ${ARGN})
    add_executable(${name} ${ARG_SOURCES})
    target_include_directories(${name} PRIVATE ${CMAKE_SOURCE_DIR}/tests)
    target_link_libraries(${name} PRIVATE ${ARG_LIBS} brim_test_main brim_flags rapidcheck)
    add_test(NAME ${name} COMMAND ${name})
    if(BRIM_SANITIZE STREQUAL "address")
        # What a test calls is optimised for the fuzz targets; of the tests themselves quick building counts.
        target_compile_options(${name} PRIVATE -O0)
    endif()
    set_tests_properties(${name} PROPERTIES TIMEOUT 300)
endfunction()
