# Compiler settings that every target shares.
set(CMAKE_CXX_STANDARD 23)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bin)
find_package(Threads REQUIRED)
find_package(PkgConfig REQUIRED)

if(NOT CMAKE_CXX_COMPILER_ID STREQUAL "Clang" OR CMAKE_CXX_COMPILER_VERSION VERSION_LESS 19)
  message(FATAL_ERROR "Ribalta is built with clang 19 (Debian: clang-19). g++ 12 miscompiles temporaries in statements "
                      "that co_await. Use a preset: cmake --preset dev")
endif()

# Assertions stay in every build: NDEBUG is never defined.
set(CMAKE_CXX_FLAGS_RELEASE "-O2 -g1")
set(CMAKE_C_FLAGS_RELEASE "-O2 -g1")
set(CMAKE_CXX_FLAGS_DEV "-O0 -g1")
set(CMAKE_C_FLAGS_DEV "-O0 -g1")

add_compile_options(-Wall -Wextra -Wpedantic -Wshadow -Wnon-virtual-dtor -Wextra-semi -Wimplicit-fallthrough -Werror
                    -Wno-missing-field-initializers -fno-omit-frame-pointer)
add_compile_options($<$<CONFIG:Release>:-D_FORTIFY_SOURCE=2> $<$<CONFIG:Release>:-fstack-protector-strong>)

# Asio and Beast are compiled once, in core/http/separate_compilation.cpp.
add_compile_definitions(BOOST_ASIO_SEPARATE_COMPILATION BOOST_BEAST_SEPARATE_COMPILATION BOOST_ASIO_NO_DEPRECATED
                        BOOST_ASIO_HAS_CO_AWAIT BOOST_ASIO_HAS_STD_COROUTINE SPDLOG_COMPILED_LIB SPDLOG_FMT_EXTERNAL
                        TOML_HEADER_ONLY=0)

set(RIBALTA_SANITIZE "" CACHE STRING "Sanitizers, as -fsanitize takes them")
if(RIBALTA_SANITIZE)
  add_compile_options(-fsanitize=${RIBALTA_SANITIZE} -fno-sanitize-recover=all)
  add_link_options(-fsanitize=${RIBALTA_SANITIZE})
endif()

find_program(RIBALTA_CCACHE ccache)
if(RIBALTA_CCACHE)
  set(CMAKE_C_COMPILER_LAUNCHER ${RIBALTA_CCACHE})
  set(CMAKE_CXX_COMPILER_LAUNCHER ${RIBALTA_CCACHE})
endif()
find_program(RIBALTA_MOLD mold)
if(RIBALTA_MOLD AND NOT RIBALTA_SANITIZE)
  add_link_options(-fuse-ld=mold)
endif()
