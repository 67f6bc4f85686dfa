// SwiftPM wants one C source in a C target; everything here is inline in the header.
#include "CLinux.h"
