#pragma once
// Thin inline shims for what Swift cannot import: variadic calls and system calls without a libc wrapper. No logic.
