package remote

import (
	"io"
	"net"
	"strings"
	"sync"
	"testing"
)

// lineSource gives a number of requests of one line each.
type lineSource struct{ left int }

func (s *lineSource) AppendRequest(dst []byte) ([]byte, int, error) {
	if s.left == 0 {
		return dst, 0, nil
	}
	s.left--
	return append(dst, "line\n"...), 1, nil
}

// SendTCP returns once the server has read everything.
func TestSendTCP(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	var mu sync.Mutex
	lines := 0
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				b, _ := io.ReadAll(c) // what is missing is counted
				mu.Lock()
				lines += strings.Count(string(b), "line\n")
				mu.Unlock()
				_ = c.Close()
			}()
		}
	}()
	r, err := SendTCP(t.Context(), l.Addr().String(), []Source{&lineSource{1000}, &lineSource{500}})
	if err != nil {
		t.Fatal(err)
	}
	mu.Lock()
	defer mu.Unlock()
	if r.Samples != 1500 || r.Messages != 1500*5 || lines != 1500 {
		t.Errorf("%+v, %d lines read; want 1500", r, lines)
	}
}
