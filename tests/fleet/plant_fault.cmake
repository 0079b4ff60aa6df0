# cmake -D source=FILE -D faulty=FILE -D text=TEXT -D instead=TEXT -P plant_fault.cmake
include(${CMAKE_CURRENT_LIST_DIR}/../replace_once.cmake)
replace_once(${source} ${faulty} "${text}" "${instead}")
