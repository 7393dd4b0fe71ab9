/** Reports whether the text is a host as `URL` writes it: a lower-case name, or an IP address. */
export const isHost = (text: string) => !text.includes('*') && URL.parse(`http://${text}`)?.hostname === text;
