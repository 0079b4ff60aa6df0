# cmake -D source=FILE -D faulty=FILE -D text=TEXT -D instead=TEXT -P plant_fault.cmake
file(READ ${source} content)
string(FIND "${content}" "${text}" first)
string(FIND "${content}" "${text}" last REVERSE)
if(first EQUAL -1 OR NOT first EQUAL last)
  message(FATAL_ERROR "the place of a planted fault is not there once in ${source}: ${text}")
endif()
string(REPLACE "${text}" "${instead}" content "${content}")
file(WRITE ${faulty} "${content}")
