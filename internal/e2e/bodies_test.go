package e2e

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/klauspost/compress/snappy"
	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/status"

	"tsdb/internal/await"
	"tsdb/internal/loopback"
)

// peakRSS returns the peak resident memory of the process in bytes.
func (s *server) peakRSS(t *testing.T) int64 {
	t.Helper()
	content, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(content)) {
		if f := strings.Fields(line); len(f) == 3 && f[0] == "VmHWM:" {
			kib, err := strconv.ParseInt(f[1], 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			return kib << 10
		}
	}
	t.Skip("the system does not tell the peak of a process's memory")
	return 0
}

// confine makes the server start in a control group with a memory limit of bytes, if
// the test can create one, and reports whether it did.
func confine(t *testing.T, s *server, bytes int64) bool {
	t.Helper()
	group := filepath.Join("/sys/fs/cgroup/memory", fmt.Sprintf("tsdb-e2e-%d", os.Getpid()))
	if err := os.Mkdir(group, 0o755); err != nil {
		return false
	}
	t.Cleanup(func() {
		// The kernel frees the group some time after its last process. The
		// test's own context has ended.
		if !await.Within(context.Background(), await.Limit, func() bool { return os.Remove(group) == nil }) {
			t.Errorf("control group %s cannot be removed", group)
		}
	})
	if err := os.WriteFile(filepath.Join(group, "memory.limit_in_bytes"), []byte(strconv.FormatInt(bytes, 10)), 0o644); err != nil {
		return false
	}
	s.group = filepath.Join(group, "cgroup.procs")
	return true
}

// Malicious clients send, at the same time and to a server limited to 600 MiB: remote
// reads and gRPC messages that are small on the wire and large in memory, and 1,200
// bodies and 120 gRPC connections of 10 messages that stall half-way. The server
// survives, its memory is bounded, and the writes of other clients are answered.
func TestHostileBodiesLeaveTheServerAliveInLittleMemory(t *testing.T) {
	const memory = 600 << 20
	rpcAddr := loopback.FreeAddr(t)
	s := newServer(t, t.TempDir(), "--grpc", rpcAddr)
	confined := confine(t, s, memory)
	s.start(t)
	s.waitReady(t)

	// 1,200 bodies that stall after 300 KB of a megabyte.
	var stalled sync.WaitGroup
	var conns []net.Conn
	part := make([]byte, 300_000)
	for i := range 1200 {
		conn, err := net.Dial("tcp", s.addr)
		if err != nil {
			t.Fatalf("connection %d: %v", i, err)
		}
		conns = append(conns, conn)
		stalled.Go(func() {
			_ = conn.SetDeadline(time.Now().Add(time.Minute))
			path := []string{"/api/v1/write", "/write?db=x", "/api/v1/read", "/api/v1/query"}[i%4]
			kind := []string{"application/x-protobuf", "text/plain", "application/x-protobuf", "application/x-www-form-urlencoded"}[i%4]
			_, _ = fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: x\r\nContent-Type: %s\r\nContent-Length: 1000000\r\n\r\n", path, kind)
			_, _ = conn.Write(part) // fails if the server has given it up
		})
	}
	unfinished := unfinishedMessages(10, 240_000)
	for i := range 120 {
		conn, err := net.Dial("tcp", rpcAddr)
		if err != nil {
			t.Fatalf("gRPC connection %d: %v", i, err)
		}
		conns = append(conns, conn)
		stalled.Go(func() {
			_ = conn.SetDeadline(time.Now().Add(time.Minute))
			_, _ = conn.Write(unfinished) // fails if the server has given it up
		})
	}
	defer func() {
		for _, c := range conns {
			c.Close()
		}
	}()
	stalled.Wait()

	// Another client writes meanwhile: every write is answered 2xx, at the latest
	// after a retry.
	client := newHTTPClient(t)
	write := func(i int) {
		t.Helper()
		for attempt := 0; ; attempt++ {
			resp, err := client.Post(s.url()+"/write?precision=ms", "", strings.NewReader(fmt.Sprintf("honest,n=%d v=%d %d", i, i, time.Now().UnixMilli())))
			if err != nil {
				t.Fatalf("write %d: %v", i, err)
			}
			resp.Body.Close()
			if resp.StatusCode == http.StatusNoContent {
				return
			}
			if resp.StatusCode != http.StatusServiceUnavailable || attempt == 2 {
				t.Errorf("write %d: %s at attempt %d", i, resp.Status, attempt)
				return
			}
		}
	}
	for i := range 50 {
		write(i)
	}

	var bombs sync.WaitGroup
	read := snappy.Encode(nil, bytes.Repeat([]byte{0x0a, 0}, 4<<20)) // 4 Mi empty queries
	for range 8 {
		bombs.Go(func() {
			resp, err := client.Post(s.url()+"/api/v1/read", "application/x-protobuf", bytes.NewReader(read))
			if err != nil {
				t.Errorf("remote read: %v", err)
				return
			}
			defer resp.Body.Close()
			line, _ := bufio.NewReader(resp.Body).ReadString('\n')
			if resp.StatusCode != http.StatusServiceUnavailable && (resp.StatusCode != http.StatusBadRequest || !strings.Contains(line, "4194304 queries, the limit is 1000")) {
				t.Errorf("remote read: %s %s", resp.Status, line)
			}
		})
	}
	labels := bytes.Repeat([]byte{0x0a, 0}, 1<<20) // of one series, 2 MiB
	series := append([]byte{0x12, 0x80, 0x80, 0x80, 0x01}, labels...)
	for range 8 {
		bombs.Go(func() {
			conn, err := grpc.NewClient(rpcAddr, grpc.WithTransportCredentials(insecure.NewCredentials()))
			if err != nil {
				t.Error(err)
				return
			}
			defer conn.Close()
			stream, err := conn.NewStream(t.Context(), &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}, "/tsdb.v1.Write/Write", grpc.ForceCodecV2(rawCodec{}))
			if err == nil {
				_ = stream.SendMsg(&series)
				var answer []byte
				err = stream.RecvMsg(&answer)
			}
			if code := status.Code(err); code != codes.InvalidArgument && code != codes.Unavailable {
				t.Errorf("gRPC: %v", err)
			}
		})
	}
	for i := range 50 {
		write(50 + i)
	}
	bombs.Wait()
	write(100)

	peak := s.peakRSS(t)
	t.Logf("peak of memory %d MiB, in a control group of its own: %v", peak>>20, confined)
	if peak > memory {
		t.Errorf("the server took %d MiB", peak>>20)
	}
	if v := queryVector(t, client, s.url(), `count(honest_v)`, time.Now()); len(v) != 1 || v[0].Value.v != 101 {
		t.Errorf("of 101 series: %v", v)
	}
	for _, c := range conns {
		c.Close()
	}
	s.signal(t, syscall.SIGTERM)
	if code := s.wait(t, 30*time.Second); code != 0 {
		t.Errorf("exit code %d after SIGTERM\n%s", code, s.log.tail(20))
	}
	s.noPanic(t)
}

// unfinishedMessages returns the bytes sent by a gRPC client that begins calls, each
// with come bytes of a message of a megabyte.
func unfinishedMessages(calls, come int) []byte {
	var b, h bytes.Buffer
	b.WriteString(http2.ClientPreface)
	f := http2.NewFramer(&b, nil)
	_ = f.WriteSettings() // to memory, like all that follows
	e := hpack.NewEncoder(&h)
	for i := range calls {
		h.Reset()
		for _, x := range [][2]string{{":method", "POST"}, {":scheme", "http"}, {":path", "/tsdb.v1.Write/Write"}, {":authority", "x"}, {"content-type", "application/grpc"}, {"te", "trailers"}} {
			_ = e.WriteField(hpack.HeaderField{Name: x[0], Value: x[1]})
		}
		_ = f.WriteHeaders(http2.HeadersFrameParam{StreamID: uint32(2*i + 1), BlockFragment: h.Bytes(), EndHeaders: true})
		message := make([]byte, come)
		binary.BigEndian.PutUint32(message[1:], 1_000_000)
		for part := range slices.Chunk(message, 16<<10) {
			_ = f.WriteData(uint32(2*i+1), false, part)
		}
	}
	return b.Bytes()
}

// rawCodec sends and receives bytes as they are.
type rawCodec struct{}

var _ encoding.CodecV2 = rawCodec{}

func (rawCodec) Name() string { return "proto" }

func (rawCodec) Marshal(v any) (mem.BufferSlice, error) {
	return mem.BufferSlice{mem.SliceBuffer(*v.(*[]byte))}, nil
}

func (rawCodec) Unmarshal(data mem.BufferSlice, v any) error {
	*v.(*[]byte) = data.Materialize()
	return nil
}
