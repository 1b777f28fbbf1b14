# cmake -DIN=file -DOUT=file.c -P embed.cmake: the bytes of a file, as status_page.h declares them.
file(READ ${IN} bytes HEX)
string(LENGTH "${bytes}" digits)
math(EXPR size "${digits} / 2")
string(REGEX REPLACE "(................................)" "\\1\n" bytes "${bytes}")
string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${bytes}")
file(WRITE ${OUT} "#include \"server/status_page.h\"\n\nconst unsigned char status_page[] = {\n${bytes}};\n"
  "const size_t status_page_size = ${size};\n")
