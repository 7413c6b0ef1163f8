// Records each ping in LOG_FILE, then answers it; listens on LISTEN.
package main

import (
	"encoding/json"
	"fmt"
	"log"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/gorilla/websocket"
)

type ping struct {
	ClientName string `json:"client_name"`
	Message    string `json:"message"`
}

// journal is the log file; one line at a time is written to it.
type journal struct {
	sync.Mutex
	file *os.File
}

func (j *journal) record(p ping) error {
	j.Lock()
	defer j.Unlock()
	now := time.Now().Format("02-01-2006 15:04:05")
	_, err := fmt.Fprintf(j.file, "[%s] Recieved from client (\"%s\"): %s\n", now, p.ClientName, p.Message)
	return err
}

var (
	upgrader = websocket.Upgrader{}
	pong     = []byte("Pong!")
)

func serve(conn *websocket.Conn, j *journal) error {
	defer conn.Close()
	for {
		_, text, err := conn.ReadMessage()
		if err != nil {
			return err
		}
		var p ping
		if err := json.Unmarshal(text, &p); err != nil {
			return err
		}
		if err := j.record(p); err != nil {
			return err
		}
		if err := conn.WriteMessage(websocket.TextMessage, pong); err != nil {
			return err
		}
	}
}

func main() {
	file, err := os.OpenFile(os.Getenv("LOG_FILE"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		log.Fatal(err)
	}
	j := &journal{file: file}
	http.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		conn, err := upgrader.Upgrade(w, r, nil)
		if err != nil {
			log.Print(err)
			return
		}
		if err := serve(conn, j); err != nil {
			log.Print(err)
		}
	})
	log.Fatal(http.ListenAndServe(os.Getenv("LISTEN"), nil))
}
