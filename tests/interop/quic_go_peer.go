// quic-go as a peer, by its own HTTP/0.9 and HTTP/3: what its interop client and server do, at any place and port.
//
//	quic_go_peer server -listen HOST:PORT -cert FILE -key FILE -www DIR [-h3] [-retry] [-chacha20]
//	quic_go_peer client -ca FILE -downloads DIR [-h3] [-again] [-early] [-each] [-chacha20] [-draft] URL...
//
// -again: the first file, and the others over a second connection that resumes; -early: those in 0-RTT. -each: a
// connection for each file. -draft: offers no version but that of draft 29, and ends well where the server has none.
// Secrets go to $SSLKEYLOGFILE.
package main

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/lucas-clemente/quic-go"
	"github.com/lucas-clemente/quic-go/http3"
	"github.com/lucas-clemente/quic-go/interop/http09"
)

// Where a third of all packets is lost, things take longer than people wait.
const patience = 60 * time.Second

var (
	flags     = flag.NewFlagSet("quic_go_peer", flag.ExitOnError)
	listen    = flags.String("listen", "", "")
	cert      = flags.String("cert", "", "")
	key       = flags.String("key", "", "")
	www       = flags.String("www", "", "")
	ca        = flags.String("ca", "", "")
	downloads = flags.String("downloads", "", "")
	h3        = flags.Bool("h3", false, "")
	retry     = flags.Bool("retry", false, "")
	again     = flags.Bool("again", false, "")
	early     = flags.Bool("early", false, "")
	each      = flags.Bool("each", false, "")
	chacha20  = flags.Bool("chacha20", false, "")
	draft     = flags.Bool("draft", false, "")
)

func configs() (*tls.Config, *quic.Config) {
	secure, transport := &tls.Config{}, &quic.Config{HandshakeIdleTimeout: patience, MaxIdleTimeout: patience}
	if name := os.Getenv("SSLKEYLOGFILE"); name != "" {
		file, err := os.Create(name)
		if err != nil {
			fail(err)
		}
		secure.KeyLogWriter = file
	}
	if *chacha20 {
		secure.CipherSuites = []uint16{tls.TLS_CHACHA20_POLY1305_SHA256}
	}
	if *draft {
		transport.Versions = []quic.VersionNumber{quic.VersionDraft29}
	}
	return secure, transport
}

func serve() error {
	secure, transport := configs()
	pair, err := tls.LoadX509KeyPair(*cert, *key)
	if err != nil {
		return err
	}
	secure.Certificates = []tls.Certificate{pair}
	transport.RequireAddressValidation = func(net.Addr) bool { return *retry }
	http.Handle("/", http.FileServer(http.Dir(*www)))
	if *h3 {
		server := http3.Server{Addr: *listen, TLSConfig: secure, QuicConfig: transport}
		return server.ListenAndServe()
	}
	server := http09.Server{Server: &http.Server{Addr: *listen, TLSConfig: secure}, QuicConfig: transport}
	return server.ListenAndServe()
}

type client interface {
	http.RoundTripper
	io.Closer
}

// Tells when a ticket has come.
type cache struct {
	tls.ClientSessionCache
	came chan struct{}
}

func (c cache) Put(key string, session *tls.ClientSessionState) {
	c.ClientSessionCache.Put(key, session)
	c.came <- struct{}{}
}

func fetch(from client, url, method string) error {
	request, err := http.NewRequest(method, url, nil)
	if err != nil {
		return err
	}
	response, err := from.RoundTrip(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != 0 && response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", url, response.Status)
	}
	file, err := os.Create(filepath.Join(*downloads, filepath.Base(request.URL.Path)))
	if err != nil {
		return err
	}
	defer file.Close()
	_, err = io.Copy(file, response.Body)
	return err
}

func fetchAll(from client, urls []string, method string) error {
	faults := make([]error, len(urls))
	var group sync.WaitGroup
	for i, url := range urls {
		group.Add(1)
		go func(i int, url string) {
			defer group.Done()
			faults[i] = fetch(from, url, method)
		}(i, url)
	}
	group.Wait()
	for _, err := range faults {
		if err != nil {
			return err
		}
	}
	return nil
}

func run(from client, urls []string, came chan struct{}) error {
	method := http.MethodGet
	switch {
	case *draft:
		err := fetch(from, urls[0], method)
		if err == nil || !strings.Contains(err.Error(), "o compatible QUIC version found") {
			return fmt.Errorf("no end for want of a version: %v", err)
		}
		return nil
	case *each:
		for _, url := range urls {
			if err := fetch(from, url, method); err != nil {
				return err
			}
			if err := from.Close(); err != nil {
				return err
			}
		}
		return nil
	case *again:
		if err := fetchAll(from, urls[:1], method); err != nil {
			return err
		}
		select {
		case <-came:
		case <-time.After(patience):
			return errors.New("no session ticket came")
		}
		if err := from.Close(); err != nil {
			return err
		}
		urls = urls[1:]
		if *early && *h3 {
			method = http3.MethodGet0RTT
		} else if *early {
			method = http09.MethodGet0RTT
		}
	}
	return fetchAll(from, urls, method)
}

func get(urls []string) error {
	secure, transport := configs()
	authorities, err := os.ReadFile(*ca)
	if err != nil {
		return err
	}
	secure.RootCAs = x509.NewCertPool()
	secure.RootCAs.AppendCertsFromPEM(authorities)
	came := make(chan struct{}, 100)
	secure.ClientSessionCache = cache{tls.NewLRUClientSessionCache(1), came}
	var from client
	if *h3 {
		from = &http3.RoundTripper{TLSClientConfig: secure, QuicConfig: transport}
	} else {
		from = &http09.RoundTripper{TLSClientConfig: secure, QuicConfig: transport}
	}
	defer from.Close()
	return run(from, urls, came)
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, "quic-go:", err)
	os.Exit(1)
}

func main() {
	var err error
	flags.Parse(os.Args[2:])
	if os.Args[1] == "server" {
		err = serve()
	} else {
		err = get(flags.Args())
	}
	if err != nil {
		fail(err)
	}
}
