# Writes OUTPUT from TEMPLATE with the version and the revision of what is in SOURCE now. It runs at each build, but the
# file changes only with them.
execute_process(COMMAND git describe --always --abbrev=12 --exclude * --dirty=+
  WORKING_DIRECTORY ${SOURCE} OUTPUT_VARIABLE revision ERROR_QUIET OUTPUT_STRIP_TRAILING_WHITESPACE)
configure_file(${TEMPLATE} ${OUTPUT} @ONLY)
