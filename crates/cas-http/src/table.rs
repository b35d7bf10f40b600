//! The macros that turn a row of the table in `ops.rs` into what a careful person would type: the struct, both directions of the wire, the
//! metadata, and the clients' methods.
//!
//! The words of a row, `path`, `query`, `header` and `json`, are methods of [`RequestWriter`](crate::wire::RequestWriter) and
//! [`RequestReader`](crate::wire::RequestReader).

/// The name a field has on the wire: what stands in parentheses after its place, or the field's own.
macro_rules! wire_key {
    ($field:ident) => {
        stringify!($field)
    };
    ($field:ident $key:expr) => {
        $key
    };
}

/// The same, as text for the metadata.
macro_rules! wire_key_text {
    ($field:ident) => {
        stringify!($field)
    };
    ($field:ident $key:ident) => {
        // Header constants are named for their header: CONTENT_RANGE. Readers of the metadata see the constant's name.
        stringify!($key)
    };
    ($field:ident $key:literal) => {
        $key
    };
}

/// Reads a required field: `path` elements are always there, the others may be missing.
macro_rules! read_required {
    ($reader:ident path $key:expr) => {
        $reader.path($key)?
    };
    ($reader:ident header $key:expr) => {
        $reader.header($key)?.ok_or_else(|| $crate::wire::WireError::missing($key.as_str().to_owned()))?
    };
    ($reader:ident $place:ident $key:expr) => {
        $reader.$place($key)?.ok_or_else(|| $crate::wire::WireError::missing($key))?
    };
}

/// The vault of an operation: the field `vault`, which all but one have.
macro_rules! vault_of {
    ($self:ident vault $($rest:ident)*) => {
        Some(&$self.vault)
    };
    ($self:ident $($other:ident)*) => {
        None
    };
}

/// Turns the rows of the table into structs, both directions of the wire, the metadata, and setters on pending requests.
macro_rules! define_operations {
    ($(
        $(#[$meta:meta])*
        fn $method_name:ident: $name:ident = $method:ident $path:literal, $repeat:ident, $shape:ident {
            $( $(#[$rmeta:meta])* $rplace:ident $(($rkey:tt))? $required:ident : $rty:ty, )*
        } $( optional {
            $( $(#[$ometa:meta])* $oplace:ident $(($okey:tt))? $optional:ident : $oty:ty, )*
        } )?
    )*) => {
        $(
            $(#[$meta])*
            #[derive(Clone, Debug, PartialEq)]
            #[non_exhaustive]
            pub struct $name {
                $( $(#[$rmeta])* pub $required: $rty, )*
                $( $( $(#[$ometa])* pub $optional: Option<$oty>, )* )?
            }

            impl $name {
                /// The operation with only what is required.
                #[allow(clippy::new_without_default, reason = "what is required differs by operation; a default would hide that one needs nothing")]
                #[must_use]
                pub fn new($($required: impl Into<$rty>),*) -> Self {
                    $name { $($required: $required.into(),)* $($($optional: None,)*)? }
                }

                /// Reads the operation back, as a server does.
                ///
                /// # Errors
                ///
                /// When a required field is missing, or a field makes no sense.
                pub fn read(reader: &RequestReader<'_>) -> Result<Self, WireError> {
                    let _ = &reader;
                    Ok($name {
                        $( $required: read_required!(reader $rplace wire_key!($required $($rkey)?)), )*
                        $( $( $optional: reader.$oplace(wire_key!($optional $($okey)?))?, )* )?
                    })
                }

                $( $(
                    $(#[$ometa])*
                    #[must_use]
                    pub fn $optional(mut self, $optional: impl Into<$oty>) -> Self {
                        self.$optional = Some($optional.into());
                        self
                    }
                )* )?
            }

            impl Operation for $name {
                type Shape = $crate::wire::$shape;

                const INFO: &'static OperationInfo = &OperationInfo {
                    name: stringify!($name),
                    method_name: stringify!($method_name),
                    method: http::Method::$method,
                    path: $path,
                    repeat: Repeat::$repeat,
                    shape: <$crate::wire::$shape as Shape>::KIND,
                    fields: &[
                        $( FieldInfo {
                            name: stringify!($required),
                            place: stringify!($rplace),
                            key: wire_key_text!($required $($rkey)?),
                            required: true,
                        }, )*
                        $( $( FieldInfo {
                            name: stringify!($optional),
                            place: stringify!($oplace),
                            key: wire_key_text!($optional $($okey)?),
                            required: false,
                        }, )* )?
                    ],
                };

                fn encode(&self, uid: Uid) -> http::Request<bytes::Bytes> {
                    #[allow(unused_mut, reason = "one operation has no field")]
                    let mut writer = RequestWriter::new(Self::INFO, uid);
                    $( writer.$rplace(wire_key!($required $($rkey)?), &self.$required); )*
                    $( $(
                        if let Some(value) = &self.$optional {
                            writer.$oplace(wire_key!($optional $($okey)?), value);
                        }
                    )* )?
                    writer.finish()
                }

                fn vault(&self) -> Option<&VaultName> {
                    vault_of!(self $($required)*)
                }
            }

            #[cfg(feature = "client")]
            impl<C> $crate::call::Pending<C, $name> {
                $( $(
                    $(#[$ometa])*
                    pub fn $optional(mut self, $optional: impl Into<$oty>) -> Self {
                        self.operation.$optional = Some($optional.into());
                        self
                    }
                )* )?
            }
        )*

        /// What is true of each operation, in the order of the service's own overview.
        pub static OPERATIONS: &[&OperationInfo] = &[$( $name::INFO, )*];

        /// Any operation, as a server receives it.
        #[derive(Clone, Debug, PartialEq)]
        #[non_exhaustive]
        pub enum AnyOperation {
            $( $(#[$meta])* $name($name), )*
        }

        impl AnyOperation {
            /// Reads the request of this operation. `path` and `query` are as they were sent; `body` is empty when it is archive data.
            ///
            /// # Errors
            ///
            /// When a required field is missing, or a field makes no sense.
            pub fn read(
                info: &'static OperationInfo,
                path: &str,
                query: &str,
                headers: &http::HeaderMap,
                body: &[u8],
            ) -> Result<(Uid, AnyOperation), WireError> {
                let reader = RequestReader::new(info, path, query, headers, body)?;
                let uid = reader.uid()?;
                let operation = match info.name {
                    $( stringify!($name) => AnyOperation::$name($name::read(&reader)?), )*
                    other => return Err(WireError::invalid("operation", format!("{other} is not in the table"))),
                };
                Ok((uid, operation))
            }

            /// What is true of every such request.
            #[must_use]
            pub fn info(&self) -> &'static OperationInfo {
                match self {
                    $( AnyOperation::$name(_) => $name::INFO, )*
                }
            }

            /// The vault it is about; `None` for the listing of vaults.
            #[must_use]
            pub fn vault(&self) -> Option<&VaultName> {
                match self {
                    $( AnyOperation::$name(operation) => operation.vault(), )*
                }
            }

            /// The request's head and small body, as [`Operation::encode`] makes it.
            #[must_use]
            pub fn encode(&self, uid: Uid) -> http::Request<bytes::Bytes> {
                match self {
                    $( AnyOperation::$name(operation) => operation.encode(uid), )*
                }
            }
        }

        $(
            impl From<$name> for AnyOperation {
                fn from(operation: $name) -> Self {
                    AnyOperation::$name(operation)
                }
            }
        )*
    };
}

/// Gives a client one method for each row of the table: `operations!(client_methods Client)` inside the client's crate.
#[cfg(feature = "client")]
#[doc(hidden)]
#[macro_export]
macro_rules! client_methods {
    ($client:ident $(
        $(#[$meta:meta])*
        fn $method_name:ident: $name:ident = $method:ident $path:literal, $repeat:ident, $shape:ident {
            $( $(#[$rmeta:meta])* $rplace:ident $(($rkey:tt))? $required:ident : $rty:ty, )*
        } $( optional { $($optional:tt)* } )?
    )*) => {
        impl $client {
            $( $crate::client_method! { $shape $client $(#[$meta])* $method_name: $name { $( $required: $rty, )* } } )*
        }
    };
}

/// One method of a client. An upload takes the body as its last argument.
#[cfg(feature = "client")]
#[doc(hidden)]
#[macro_export]
macro_rules! client_method {
    (Upload $client:ident $(#[$meta:meta])* $method_name:ident: $name:ident { $( $required:ident : $rty:ty, )* }) => {
        $(#[$meta])*
        ///
        /// `body` is the data. Await the value to send the request; optional fields are setters on it.
        pub fn $method_name(
            &self,
            $( $required: impl Into<$rty>, )*
            body: impl Into<$crate::Body>,
        ) -> $crate::Pending<$client, $crate::ops::$name> {
            $crate::Pending::new(self.clone(), $crate::ops::$name::new($($required),*), body.into())
        }
    };
    ($shape:ident $client:ident $(#[$meta:meta])* $method_name:ident: $name:ident { $( $required:ident : $rty:ty, )* }) => {
        $(#[$meta])*
        ///
        /// Await the value to send the request; optional fields are setters on it.
        pub fn $method_name(&self, $( $required: impl Into<$rty>, )*) -> $crate::Pending<$client, $crate::ops::$name> {
            $crate::Pending::new(self.clone(), $crate::ops::$name::new($($required),*), ())
        }
    };
}
