# cmake -D source=DIRECTORY -D copies=DIRECTORY -P copy.cmake
include(${CMAKE_CURRENT_LIST_DIR}/../../replace_once.cmake)

foreach(folder bpf maps)
  file(COPY ${source}/${folder} DESTINATION ${copies})
endforeach()

function(change file text instead)
  replace_once(${copies}/${file} ${copies}/${file} "${text}" "${instead}")
endfunction()

# IPv4: the new addresses come first. IPv6: the other address comes before the ports. The member's index and the listener's
# have each other's place in the state.
change(bpf/flow_table.h "__u64 addresses, ports, new_addresses, state;" "__u64 new_addresses, ports, addresses, state;")
change(bpf/flow_table.h "__u64 source[2], destination[2], ports, other[2], state;"
  "__u64 source[2], destination[2], other[2], ports, state;")
change(maps/flow.h "SLUICE_STATE_LISTENER_IN_BANK_SHIFT 0 " "SLUICE_STATE_LISTENER_IN_BANK_SHIFT 14 ")
change(maps/flow.h "SLUICE_STATE_MEMBER_SHIFT 12 " "SLUICE_STATE_MEMBER_SHIFT 0 ")
change(maps/versions.h "X(flows4, 2, 1)" "X(flows4, 3, 3)")
change(maps/versions.h "X(flows6, 4, 1)" "X(flows6, 5, 5)")
