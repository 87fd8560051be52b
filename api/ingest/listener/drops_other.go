//go:build !linux

package listener

import "net"

// kernelDrops returns false: what the kernel drops is not known.
func kernelDrops(net.PacketConn) (n uint32, ok bool) { return 0, false }
