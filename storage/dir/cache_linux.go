package dir

import (
	"os"

	"golang.org/x/sys/unix"
)

// dropCache asks the kernel to forget the file's synced pages, so that the
// next read comes from the device. It is advice; whether it was followed is
// not known.
func dropCache(f *os.File) {
	_ = unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED)
}
