package listener

import (
	"net"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// memInfoDrops is the index of the dropped packets among the numbers of SO_MEMINFO
// (SK_MEMINFO_DROPS), which are memInfoVars.
const (
	memInfoDrops = 8
	memInfoVars  = 9
)

// kernelDrops returns the number of datagrams that the kernel had no room for since the
// port was opened, modulo 2³². It returns false if that is not known.
func kernelDrops(pc net.PacketConn) (n uint32, ok bool) {
	c, ok := pc.(syscall.Conn)
	if !ok {
		return 0, false
	}
	raw, err := c.SyscallConn()
	if err != nil {
		return 0, false
	}
	var vars [memInfoVars]uint32
	size := uint32(unsafe.Sizeof(vars))
	var errno syscall.Errno
	err = raw.Control(func(fd uintptr) {
		_, _, errno = unix.Syscall6(unix.SYS_GETSOCKOPT, fd, unix.SOL_SOCKET, unix.SO_MEMINFO, uintptr(unsafe.Pointer(&vars)), uintptr(unsafe.Pointer(&size)), 0)
	})
	return vars[memInfoDrops], err == nil && errno == 0 && size == uint32(unsafe.Sizeof(vars))
}
