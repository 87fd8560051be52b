package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"syscall"

	"tsdb/api/ingest/listener"
)

// linePorts are the ports of a door for lines over TCP and in UDP datagrams.
type linePorts struct {
	flag     string // of the door, as in --influx
	listen   func() *listener.Listener
	listener *listener.Listener // made by listen once there are doors
	tcp      net.Listener       // nil = none
	udp      net.PacketConn     // nil = none
}

// openLinePorts opens the ports of doors that the settings name.
func (s *service) openLinePorts() error {
	for _, d := range []struct {
		flag, tcp, udp string
		listen         func() *listener.Listener
	}{
		{"--influx", s.config.influxTCP, s.config.influxUDP, func() *listener.Listener {
			return s.ingest.InfluxListener(s.config.influxListen(), s.registry)
		}},
		{"--graphite", s.config.graphiteTCP, s.config.graphiteUDP, func() *listener.Listener {
			return s.ingest.GraphiteListener(s.registry)
		}},
	} {
		if d.tcp == "" && d.udp == "" {
			continue
		}
		p := &linePorts{flag: d.flag, listen: d.listen}
		s.lines = append(s.lines, p)
		var err error
		if d.tcp != "" {
			if p.tcp, err = listen(d.flag+".tcp", d.tcp); err != nil {
				return err
			}
		}
		if d.udp != "" {
			if p.udp, err = listenUDP(d.flag+".udp", d.udp); err != nil {
				return err
			}
		}
	}
	return nil
}

// listenUDP opens a port for datagrams. The error names the flag that sets its address.
func listenUDP(flag, addr string) (net.PacketConn, error) {
	c, err := net.ListenPacket("udp", addr)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, fmt.Errorf("the port of %s %s is taken by another process: stop it, or choose another with %s", flag, addr, flag)
	case err != nil:
		return nil, fmt.Errorf("listen on %s %s: %w", flag, addr, err)
	}
	return c, nil
}

// attachLinePorts connects the ports with their doors.
func (s *service) attachLinePorts() {
	for _, p := range s.lines {
		p.listener = p.listen()
	}
}

// serve receives lines until the listener is shut down, and reports the ports that fail.
func (p *linePorts) serve(servers *sync.WaitGroup, failed chan<- error) {
	report := func(err error) {
		if err != nil {
			failed <- fmt.Errorf("receive lines on %s: %w", p.flag, err)
		}
	}
	if p.tcp != nil {
		servers.Go(func() { report(p.listener.ServeTCP(p.tcp)) })
	}
	if p.udp != nil {
		servers.Go(func() { report(p.listener.ServeUDP(p.udp)) })
	}
}

// addresses returns the addresses of the ports, for the log.
func (p *linePorts) addresses() []any {
	var all []any
	if p.tcp != nil {
		all = append(all, "tcp", p.tcp.Addr().String())
	}
	if p.udp != nil {
		all = append(all, "udp", p.udp.LocalAddr().String())
	}
	return all
}

// close closes ports that have not been served.
func (p *linePorts) close() {
	if p.tcp != nil {
		_ = p.tcp.Close()
	}
	if p.udp != nil {
		_ = p.udp.Close()
	}
}

// drainLinePorts ends the ports for lines and stores what has arrived.
func (s *service) drainLinePorts(ctx context.Context) {
	var draining sync.WaitGroup
	for _, p := range s.lines {
		draining.Go(func() {
			if err := p.listener.Shutdown(ctx); err != nil {
				s.log.Warn("lines that had arrived were dropped at shutdown", "flags", p.flag+".*", "limit", finishLimit, "err", err)
			}
		})
	}
	draining.Wait()
}
