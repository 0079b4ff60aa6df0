# sluice_gtest_suites(TARGET PREFIX prefix [FILTER filter] [PROPERTIES name value ...])
#
# One ctest entry for each suite of a GoogleTest binary, called PREFIX.Suite, in place of gtest_discover_tests()'s one for
# each case: a process a case spent most of its time on starting, and on loading what its neighbours had loaded already.
# All instantiations of a suite are one entry. A single case is run with the binary itself (tests/README.md).
#
# FILTER: only suites with a case that this --gtest_filter lets through. PROPERTIES: of every entry; those that skip
# themselves end with 77 (tests/support/main.cpp), which is set here.
#
# The suites are listed after each link, as a list that somebody has to keep would be wrong one day.
set(SLUICE_LIST_GTEST_SUITES ${CMAKE_CURRENT_LIST_DIR}/list_gtest_suites.cmake)

# What `scripts/test --case` needs: the binaries that are made of cases. And `--fast`: those without a lab, and the programs,
# because their help texts and manual pages are compared.
add_custom_target(cases)
add_custom_target(fast_tests DEPENDS sluicectl sluicectl_manual sluiced sluice-loader)

function(sluice_gtest_suites target)
  cmake_parse_arguments(arg "" "PREFIX;FILTER" "PROPERTIES" ${ARGN})
  if(NOT arg_FILTER)
    set(arg_FILTER "*")
  endif()
  set(file ${CMAKE_CURRENT_BINARY_DIR}/${arg_PREFIX})
  string(MAKE_C_IDENTIFIER "${arg_FILTER}" suffix)
  string(APPEND file "_suites${suffix}")
  list(JOIN arg_PROPERTIES " " properties)
  add_dependencies(cases ${target})
  if(NOT arg_PREFIX MATCHES "^system")
    add_dependencies(fast_tests ${target})
  endif()
  add_custom_command(TARGET ${target} POST_BUILD
    BYPRODUCTS ${file}_list.cmake
    COMMAND ${CMAKE_COMMAND}
      -D "binary=$<TARGET_FILE:${target}>"
      -D "prefix=${arg_PREFIX}"
      -D "filter=${arg_FILTER}"
      -D "properties=${properties}"
      -D "file=${file}_list.cmake"
      -P ${SLUICE_LIST_GTEST_SUITES}
    VERBATIM)
  # ctest reads this one, and by it the list, if there is one yet.
  file(WRITE ${file}.cmake
    "if(EXISTS \"${file}_list.cmake\")\n  include(\"${file}_list.cmake\")\nelse()\n"
    "  add_test(${arg_PREFIX}.NOT_BUILT ${target}_is_not_built)\n"
    "  set_tests_properties(${arg_PREFIX}.NOT_BUILT PROPERTIES ${properties})\nendif()\n")
  set_property(DIRECTORY APPEND PROPERTY TEST_INCLUDE_FILES ${file}.cmake)
endfunction()
