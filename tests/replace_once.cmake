# Writes a file's content to another one (or the same) with a piece of its text replaced. Fails where the text is not there, or not once:
# then the file has changed, and what was meant to be tested would not be.
function(replace_once from to text instead)
  file(READ ${from} content)
  string(FIND "${content}" "${text}" first)
  string(FIND "${content}" "${text}" last REVERSE)
  if(first EQUAL -1 OR NOT first EQUAL last)
    message(FATAL_ERROR "the place of a planted change is not there once in ${from}: ${text}")
  endif()
  string(REPLACE "${text}" "${instead}" content "${content}")
  file(WRITE ${to} "${content}")
endfunction()
