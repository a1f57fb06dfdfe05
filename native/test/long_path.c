/*
 * Loads a copy of the library from a path that is longer than the 260 characters that Windows'
 * older functions take, and calls it there. Argument: the library.
 */
#include <stdio.h>
#include <stdlib.h>
#include <wchar.h>

#include <windows.h>

#include "../include/engram.h"

#define FOLDERS 3
#define LONGEST 1024

/* A step that must succeed. */
static void require(int well, const char *what) {
  if (!well) {
    printf("%s failed: error %lu\n", what, (unsigned long)GetLastError());
    exit(1);
  }
}

int main(int count, char **arguments) {
  require(count == 2, "reading the argument");
  wchar_t library[LONGEST];
  require(MultiByteToWideChar(CP_UTF8, 0, arguments[1], -1, library, LONGEST), "reading the path");

  wchar_t path[LONGEST] = L"\\\\?\\";
  size_t end[FOLDERS + 1];
  DWORD temporary = GetTempPathW(LONGEST / 2, path + 4);
  require(temporary > 0 && temporary < LONGEST / 2, "finding the folder for temporary files");
  end[0] = 4 + temporary;
  for (int folder = 0; folder < FOLDERS; folder++) {
    size_t at =
        end[folder] + (size_t)swprintf(path + end[folder], LONGEST - end[folder], L"engram-%lu-",
                                       (unsigned long)GetCurrentProcessId());
    for (int i = 0; i < 100; i++) {
      path[at++] = L'a';
    }
    path[at] = 0;
    require(CreateDirectoryW(path, NULL), "making a folder");
    path[at++] = L'\\';
    end[folder + 1] = at;
  }
  swprintf(path + end[FOLDERS], LONGEST - end[FOLDERS], L"engram.dll");
  require(CopyFileW(library, path, TRUE), "copying the library");
  HMODULE module = LoadLibraryExW(path, NULL, LOAD_WITH_ALTERED_SEARCH_PATH);
  require(module != NULL, "loading it");
  int (*abi)(void) = (int (*)(void))(void (*)(void))GetProcAddress(module, "engram_abi");
  require(abi != NULL, "finding its function");
  int found = abi();
  require(FreeLibrary(module), "letting it go");
  require(DeleteFileW(path), "deleting it");
  for (int folder = FOLDERS; folder > 0; folder--) {
    path[end[folder] - 1] = 0;
    require(RemoveDirectoryW(path), "deleting a folder");
  }
  printf("ABI %d from a path of %d characters\n", found, (int)end[FOLDERS] + 10);
  return found == ENGRAM_ABI ? 0 : 1;
}
