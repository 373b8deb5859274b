"""Lists of questions, answered one by one."""
