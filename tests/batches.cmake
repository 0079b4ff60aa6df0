# Several files as one: what they include is parsed once for all, which precompiled headers don't save where templates
# are instantiated. Only for targets whose files include much; the files of such a target share one anonymous
# namespace, so a name in it is given once.
option(SLUICE_BATCHES "compile the files of large targets in batches" ON)

# sluice_compile_in_batches(<target>)
function(sluice_compile_in_batches target)
  set_target_properties(${target} PROPERTIES UNITY_BUILD ${SLUICE_BATCHES} UNITY_BUILD_BATCH_SIZE 6)
endfunction()
