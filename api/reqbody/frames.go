package reqbody

import "encoding/binary"

// HTTP/2 frames, RFC 9113 sections 4 and 6.
const (
	clientPreface    = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
	frameHeaderBytes = 9
	// maxFrameBytes is the longest payload unless a server allows more, which
	// gRPC does not.
	maxFrameBytes = 16 << 10

	frameData         = 0x0
	frameHeaders      = 0x1
	frameReset        = 0x3
	frameWindowUpdate = 0x8

	flagEndStream = 0x1
	flagPadded    = 0x8
)

// frame is the header of an HTTP/2 frame.
type frame struct {
	kind, flags byte
	stream      uint32
	length      int
}

// frames follows one direction of an HTTP/2 connection, in parts of any size.
type frames struct {
	preface string // what is still to come of it
	limit   int    // most bytes of a payload; 0 = any
	broken  bool   // this is not HTTP/2, or breaks its rules: nothing is followed

	header [frameHeaderBytes]byte
	have   int // bytes of header
	frame  frame
	offset int // in the payload
	pad    int // bytes at the end of a DATA frame
}

// feed calls begin for each frame that begins in p, and payload for each part
// of a payload, without padding, with its offset.
func (f *frames) feed(p []byte, begin func(frame), payload func(f frame, offset int, part []byte)) {
	if n := min(len(f.preface), len(p)); n > 0 {
		f.broken = f.broken || string(p[:n]) != f.preface[:n]
		f.preface, p = f.preface[n:], p[n:]
	}
	for len(p) > 0 && !f.broken {
		if f.have < frameHeaderBytes {
			n := copy(f.header[f.have:], p)
			f.have += n
			p = p[n:]
			if f.have < frameHeaderBytes {
				return
			}
			h := f.header
			f.frame = frame{
				kind: h[3], flags: h[4], stream: binary.BigEndian.Uint32(h[5:]) &^ (1 << 31),
				length: int(h[0])<<16 | int(h[1])<<8 | int(h[2]),
			}
			f.offset, f.pad = 0, 0
			if f.limit > 0 && f.frame.length > f.limit {
				f.broken = true
				return
			}
			begin(f.frame)
		}
		if f.offset == 0 && f.frame.length > 0 && len(p) > 0 && f.frame.kind == frameData && f.frame.flags&flagPadded != 0 {
			f.pad = int(p[0])
			f.offset, p = 1, p[1:]
		}
		n := min(f.frame.length-f.offset, len(p))
		if text := min(n, f.frame.length-f.pad-f.offset); text > 0 {
			payload(f.frame, f.offset, p[:text])
		}
		f.offset += n
		p = p[n:]
		if f.offset == f.frame.length {
			f.have = 0
		}
	}
}
