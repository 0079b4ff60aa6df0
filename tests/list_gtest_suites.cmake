# Run after a test binary is linked: writes `file`, with a ctest entry for each suite in `binary` (gtest_suites.cmake).
execute_process(COMMAND ${binary} --gtest_list_tests --gtest_filter=${filter}
  OUTPUT_VARIABLE output RESULT_VARIABLE result)
if(NOT result EQUAL 0)
  message(FATAL_ERROR "${binary} does not list its tests:\n${output}")
endif()

# A suite's line is Suite., Instantiation/Suite. or Instantiation/Suite/Number., perhaps with a comment; a case's is indented.
string(REGEX REPLACE "[][;]" " " output "${output}")  # what CMake takes for the structure of a list
string(REPLACE "\n" ";" lines "${output}")
set(suites)
foreach(line IN LISTS lines)
  if(line MATCHES "^([^ /]*/)?([A-Za-z0-9_]+)(/[0-9]+)?\\.")
    set(suite ${CMAKE_MATCH_2})
    list(APPEND suites ${suite})
    if(NOT DEFINED cases_${suite})
      set(cases_${suite} 0)
    endif()
  elseif(line MATCHES "^  [^ ]" AND DEFINED suite)
    math(EXPR cases_${suite} "${cases_${suite}} + 1")
  endif()
endforeach()
list(REMOVE_DUPLICATES suites)
if(NOT suites)
  message(FATAL_ERROR "${binary} has no suite for the filter '${filter}'")
endif()

set(text)
foreach(suite IN LISTS suites)
  set(name "${prefix}.${suite}")
  # Long ones first, as far as their number of cases tells: the short ones fill the gaps.
  string(APPEND text
    "add_test([==[${name}]==] [==[${binary}]==] [==[--gtest_filter=${suite}.*:*/${suite}.*:${suite}/*:*/${suite}/*]==])\n"
    "set_tests_properties([==[${name}]==] PROPERTIES SKIP_RETURN_CODE 77 COST ${cases_${suite}} ${properties})\n")
endforeach()
file(WRITE ${file} "${text}")
